//! How long a name's addresses hold. The system's resolver does not tell, so its name servers are asked for that alone (RFC 1035).
//!
//! Knows no cache and gives no address: those stay the system's, with its hosts file and its search list. Whatever goes wrong here is no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Where the system says who its name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// As many as resolvers commonly look at.
const SERVERS_MAX: usize = 3;
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest answer without extensions.
const ANSWER_MAX: usize = 512;
const HEADER: usize = 12;
const NAME_MAX: usize = 253;
const LABEL_MAX: u8 = 63;
const POINTER: u8 = 0xc0;
/// Bits of the header's flags.
const IS_ANSWER: u16 = 0x8000;
const FAILED: u16 = 0x000f;

/// The system's name servers.
pub(crate) fn servers() -> Vec<SocketAddr> {
    std::fs::read_to_string(RESOLV_CONF).map_or_else(|_| Vec::new(), |text| read(&text))
}

fn read(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    addresses.take(SERVERS_MAX).map(|address| SocketAddr::new(address, PORT)).collect()
}

/// The least time to live of what leads to a name's addresses. Names without a dot may go through a search list, and are not asked for.
pub(crate) async fn of(servers: &[SocketAddr], name: &str, id: u16) -> Option<Duration> {
    let question = question(name, id)?;
    for server in servers {
        if let Ok(Some(seconds)) = tokio::time::timeout(PATIENCE, ask(*server, &question)).await {
            return Some(Duration::from_secs(u64::from(seconds)));
        }
    }
    None
}

async fn ask(server: SocketAddr, question: &[u8]) -> Option<u32> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(question).await.ok()?;
    let mut answer = [0; ANSWER_MAX];
    loop {
        let length = socket.recv(&mut answer).await.ok()?;
        // What is no answer, or one to somebody else's question, is not waited for any less.
        if let Some(least) = least(&answer[..length], question) {
            return least;
        }
    }
}

/// Asks for a name's addresses, recursively.
fn question(name: &str, id: u16) -> Option<Vec<u8>> {
    let name = name.trim_end_matches('.');
    if !name.contains('.') || name.len() > NAME_MAX {
        return None;
    }
    let mut out = id.to_be_bytes().to_vec();
    // Recursion desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=LABEL_MAX).contains(length))?;
        out.push(length);
        out.extend(label.as_bytes());
    }
    // The end of the name; type A, class IN.
    out.extend([0, 0, 1, 0, 1]);
    Some(out)
}

/// The least time to live of an answer's records, none when it has no record; nothing when it is not the answer to that question.
fn least(answer: &[u8], question: &[u8]) -> Option<Option<u32>> {
    let two = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let (flags, questions, records) = (two(2)?, two(4)?, two(6)?);
    if answer[..2] != question[..2] || flags & IS_ANSWER == 0 {
        return None;
    }
    if flags & FAILED != 0 {
        return Some(None);
    }
    let mut at = HEADER;
    for _ in 0..questions {
        at = behind_name(answer, at)? + 4;
    }
    let mut least = None;
    for _ in 0..records {
        at = behind_name(answer, at)?;
        let seconds = u32::from_be_bytes(answer.get(at + 4..at + 8)?.try_into().ok()?);
        // RFC 2181, section 8: beyond 31 bits it means none.
        let seconds = if seconds > u32::MAX / 2 { 0 } else { seconds };
        least = Some(least.map_or(seconds, |least: u32| least.min(seconds)));
        at += 10 + usize::from(two(at + 8)?);
    }
    Some(least)
}

/// Where a name ends: at its root, or at a pointer to the rest of it.
fn behind_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length if length >= POINTER => return Some(at + 2),
            length if length <= LABEL_MAX => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::rdata::{A, CNAME, RData};
    use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

    /// A name server that first answers a question nobody asked.
    async fn serve(socket: UdpSocket, lifetimes: &[u32]) {
        let mut buffer = [0; ANSWER_MAX];
        let (length, from) = socket.recv_from(&mut buffer).await.expect("a question");
        let question = Packet::parse(&buffer[..length]).expect("a packet");
        assert!(question.has_flags(PacketFlag::RECURSION_DESIRED));
        let name = question.questions[0].qname.clone();
        for id in [question.id().wrapping_add(1), question.id()] {
            let mut answer = Packet::new_reply(id);
            for (at, ttl) in lifetimes.iter().enumerate() {
                let leads = RData::CNAME(CNAME(Name::new("edge.example").expect("a name")));
                let data = if at + 1 < lifetimes.len() { leads } else { RData::A(A { address: 0x7f00_0001 }) };
                answer.answers.push(ResourceRecord::new(
                    name.clone(),
                    CLASS::IN,
                    if id == question.id() { *ttl } else { 1 },
                    data,
                ));
            }
            socket.send_to(&answer.build_bytes_vec().expect("bytes"), from).await.expect("sent");
        }
    }

    #[tokio::test]
    async fn the_shortest_of_the_records_that_lead_to_an_address_counts() {
        for (lifetimes, expected) in [(&[300, 20][..], Some(20)), (&[5, 600], Some(5)), (&[0], Some(0)), (&[], None)] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let servers = [socket.local_addr().expect("bound")];
            let (found, ()) = tokio::join!(of(&servers, "shop.example", 7), serve(socket, lifetimes));
            assert_eq!(found, expected.map(Duration::from_secs), "{lifetimes:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_from_one_without_records() {
        let asked = question("shop.example.", 7).expect("a question");
        let read = Packet::parse(&asked).expect("a packet");
        assert_eq!((read.id(), read.questions[0].qname.to_string()), (7, "shop.example".to_owned()));
        let answer = |id: u16, code: RCODE| {
            let mut packet = Packet::new_reply(id);
            *packet.rcode_mut() = code;
            packet.questions = Packet::parse(&asked).expect("a packet").questions;
            let data = RData::A(A { address: 1 });
            packet.answers.push(ResourceRecord::new(Name::new("shop.example").expect("a name"), CLASS::IN, 60, data));
            packet.build_bytes_vec_compressed().expect("bytes")
        };
        assert_eq!(least(&answer(7, RCODE::NoError), &asked), Some(Some(60)), "with its question, names compressed");
        assert_eq!(least(&answer(8, RCODE::NoError), &asked), None);
        assert_eq!(least(&answer(7, RCODE::NameError), &asked), Some(None));
        assert_eq!(least(&asked, &asked), None, "a question is no answer");
        let whole = answer(7, RCODE::NoError);
        for length in 0..whole.len() - 4 {
            assert_eq!(least(&whole[..length], &asked), None, "{length} bytes");
        }
        for name in ["a..b", "x.", &format!("{}.org", "a".repeat(64)), &"ab.".repeat(100)] {
            assert_eq!(question(name, 7), None, "{name}");
        }
    }

    #[tokio::test]
    async fn without_a_server_or_a_dot_nobody_knows() {
        assert_eq!(of(&[], "shop.example", 7).await, None);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        assert_eq!(of(&[socket.local_addr().expect("bound")], "intranet", 7).await, None);
    }

    #[test]
    fn name_servers_are_read_as_the_system_reads_them() {
        let text = "# servers\nsearch example.org\nnameserver 10.0.0.2\n nameserver ::1\nnameserver nonsense\noptions ndots:5\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let found: Vec<String> = read(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.2:53", "[::1]:53", "10.0.0.3:53"]);
    }
}
