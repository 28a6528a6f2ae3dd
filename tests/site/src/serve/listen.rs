//! Binding: loopback only, IPv4 and IPv6 under one port, because `localhost` may mean either.

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Connections that the operating system holds until they are accepted.
const BACKLOG: i32 = 4_096;
/// How many free ports are tried until one is free on both addresses.
const ATTEMPTS_MAX: usize = 20;

/// Listeners on a port, or on a free one when it is 0; one when there is no IPv6.
pub(super) fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let mut attempt = 1;
    loop {
        let four = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let chosen = four.local_addr()?.port();
        match listen(SocketAddr::from((Ipv6Addr::LOCALHOST, chosen))) {
            Ok(six) => return Ok(vec![four, six]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if port != 0 || attempt == ATTEMPTS_MAX {
                    return Err(error);
                }
                attempt += 1;
            }
            Err(_no_ipv6) => return Ok(vec![four]),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let name = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).map_err(name)?;
    socket.listen(BACKLOG).map_err(name)?;
    Ok(socket.into())
}
