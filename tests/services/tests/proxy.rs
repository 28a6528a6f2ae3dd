//! Each fault of the proxy, seen from a client of an echo server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use weir_services::{Fault, FaultProxy};

const SOON: Duration = Duration::from_secs(10);

/// Gives back what it gets. Its threads end with their connections, the listener with the process.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut &client, &mut &client));
        }
    });
    address
}

fn client(proxy: &FaultProxy) -> TcpStream {
    let client = TcpStream::connect(proxy.address()).expect("the proxy listens");
    client.set_read_timeout(Some(SOON)).expect("a time above zero");
    client
}

fn talk(mut client: &TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
    client.write_all(words)?;
    let mut answer = vec![0; words.len()];
    client.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn without_a_fault_bytes_pass_whole_and_are_counted() {
    let proxy = FaultProxy::new(echo()).unwrap();
    let words: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
    let connection = client(&proxy);
    let mut writing = connection.try_clone().unwrap();
    let sent = words.clone();
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    let mut answer = vec![0; words.len()];
    (&connection).read_exact(&mut answer).unwrap();
    writer.join().unwrap();
    assert!(answer == words);
    let seen = proxy.wait(SOON, |seen| seen.answer_bytes == 1_000_000).unwrap();
    assert_eq!((seen.connections, seen.request_bytes, seen.swallowed_bytes), (1, 1_000_000, 0));
}

#[test]
fn refused_connections_are_refused_and_open_ones_reset_until_the_fault_ends() {
    let mut proxy = FaultProxy::new(echo()).unwrap();
    let open = client(&proxy);
    assert_eq!(talk(&open, b"one").unwrap(), b"one");
    for _ in 0..20 {
        proxy.set(Fault::Refuse).unwrap();
        assert_eq!(TcpStream::connect(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        proxy.set(Fault::None).unwrap();
        assert_eq!(talk(&client(&proxy), b"two").unwrap(), b"two");
    }
    assert!(talk(&open, b"three").is_err());
}

#[test]
fn answer_is_cut_after_so_many_bytes_on_each_connection() {
    let mut proxy = FaultProxy::new(echo()).unwrap();
    let open = client(&proxy);
    assert_eq!(talk(&open, b"before the fault").unwrap(), b"before the fault");
    proxy.set(Fault::CutAfter(4)).unwrap();
    for mut connection in [open, client(&proxy)] {
        connection.write_all(b"123456").unwrap();
        let mut got = Vec::new();
        assert_eq!(connection.read_to_end(&mut got).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(got, b"1234");
    }
}

#[test]
fn black_hole_forwards_the_request_swallows_the_answer_and_ends_with_a_reset() {
    let mut proxy = FaultProxy::new(echo()).unwrap();
    proxy.set(Fault::BlackHole).unwrap();
    let mut lost = client(&proxy);
    lost.write_all(b"commit").unwrap();
    let seen = proxy.wait(SOON, |seen| seen.swallowed_bytes == 6).unwrap();
    assert_eq!((seen.request_bytes, seen.answer_bytes), (6, 0));
    let unharmed = client(&proxy);
    proxy.wait(SOON, |seen| seen.connections == 2).unwrap();
    proxy.set(Fault::None).unwrap();
    assert_eq!(talk(&unharmed, b"ping").unwrap(), b"ping");
    assert_eq!(lost.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
#[allow(clippy::disallowed_methods)] // measures that the answer is late
fn delayed_answer_comes_late_and_whole() {
    let mut proxy = FaultProxy::new(echo()).unwrap();
    proxy.set(Fault::Delay(Duration::from_millis(80))).unwrap();
    let began = Instant::now();
    assert_eq!(talk(&client(&proxy), b"late").unwrap(), b"late");
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[test]
fn given_answer_comes_instead_of_the_servers() {
    let mut proxy = FaultProxy::new(echo()).unwrap();
    proxy.set(Fault::Answer(b"HTTP/1.1 503 \r\n\r\n".to_vec())).unwrap();
    let mut connection = client(&proxy);
    connection.write_all(b"GET").unwrap();
    let mut got = String::new();
    connection.read_to_string(&mut got).unwrap();
    assert_eq!(got, "HTTP/1.1 503 \r\n\r\n");
    assert_eq!(proxy.seen().request_bytes, 0);
}

#[test]
fn dead_server_behind_the_proxy_is_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = FaultProxy::new(nobody).unwrap();
    assert_eq!(client(&proxy).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn url_of_the_server_becomes_the_url_of_the_proxy() {
    let proxy = FaultProxy::new("127.0.0.1:3306").unwrap();
    let url = proxy.in_place_of("mysql://weir:weir@127.0.0.1:3306/weir").unwrap();
    assert_eq!(url, format!("mysql://weir:weir@127.0.0.1:{}/weir", proxy.port()));
    assert!(proxy.in_place_of("sqlite:items.db").is_err());
}
