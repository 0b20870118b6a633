//! Listening sockets: opened for all workers at once, before a snapshot is acknowledged.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_H, BPF_JA, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_MOD,
    BPF_RET, sock_filter, sock_fprog,
};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::AttachReusePortCbpf;
use novaedge_router::{SocketKey, Transport};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that wait to be accepted, per worker.
const BACKLOG: i32 = 4096;
/// Bytes of the kernel's queue of a UDP socket; the kernel may grant less.
const UDP_BUFFER: usize = 2 * 1024 * 1024;

/// A listening socket of one worker.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
    Quic(std::net::UdpSocket),
}

/// Why a socket can't be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {transport} {address}: {cause}; {}", self.fix())]
pub(crate) struct BindError {
    address: SocketAddr,
    transport: &'static str,
    cause: io::Error,
}

impl BindError {
    fn fix(&self) -> String {
        let port = self.address.port();
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => {
                let flag = if self.transport == "UDP" { 'u' } else { 't' };
                format!(
                    "stop what listens there (`ss -ln{flag}p sport = :{port}` shows it) or use \
                     another port"
                )
            }
            io::ErrorKind::PermissionDenied if port < 1024 => format!(
                "use a port above 1023, grant CAP_NET_BIND_SERVICE, or set \
                 net.ipv4.ip_unprivileged_port_start to {port} or less"
            ),
            io::ErrorKind::AddrNotAvailable => {
                "assign the address to this host or correct the Gateway's addresses".into()
            }
            _ if self.cause.raw_os_error() == Some(24) => {
                "raise the limit of open files (ulimit -n)".into()
            }
            _ => "check the address and the port".into(),
        }
    }
}

/// Whether sockets of this process are on the port already, with another address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// Nobody may be there.
    Unused,
    /// One of our sockets is.
    Ours,
}

/// Opens the sockets of a key, one per worker. All of them, or none.
///
/// They share the port by `SO_REUSEPORT`: the kernel spreads connections over the workers, and one
/// client address always reaches the same one.
pub(crate) fn open(
    key: SocketKey,
    workers: usize,
    port: Port,
) -> Result<Vec<Listening>, BindError> {
    let address = choose_address(key);
    let error = |cause| BindError {
        address,
        transport: transport_name(key.transport),
        cause,
    };
    if port == Port::Unused {
        // SO_REUSEPORT would let us join another process of the same user unnoticed.
        bind(address, key.transport, Reuse::Address).map_err(error)?;
    }
    let sockets = (0..workers).map(|_| listen(address, key.transport));
    let sockets = sockets.collect::<io::Result<Vec<_>>>().map_err(error)?;
    if let [Listening::Quic(first), ..] = sockets.as_slice() {
        steer(first, workers).map_err(error)?;
    }
    Ok(sockets)
}

/// Lets the kernel choose among the sockets of a port by the connection ID that a datagram of QUIC is for, as workers make
/// them: the address of a client may change.
fn steer(socket: &std::net::UdpSocket, workers: usize) -> io::Result<()> {
    let op = |code: u32, (jt, jf): (u8, u8), k: u32| sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let next = (0, 0);
    // A long header has the ID behind flags, version and its length, a short one behind the flags (RFC 9000 section 17).
    let mut program = [
        op(BPF_LD | BPF_B | BPF_ABS, next, 0),
        op(BPF_JMP | BPF_JSET | BPF_K, (0, 2), 0x80),
        op(BPF_LD | BPF_H | BPF_ABS, next, 6),
        op(BPF_JMP | BPF_JA, next, 1),
        op(BPF_LD | BPF_H | BPF_ABS, next, 1),
        op(
            BPF_ALU | BPF_MOD | BPF_K,
            next,
            u32::try_from(workers.max(1)).unwrap_or(1),
        ),
        op(BPF_RET | BPF_A, next, 0),
    ];
    let program = sock_fprog {
        len: u16::try_from(program.len()).unwrap_or_default(),
        filter: program.as_mut_ptr(),
    };
    Ok(setsockopt(socket, AttachReusePortCbpf, &program)?)
}

/// All addresses of the host are one IPv6 socket that takes IPv4 too, unless IPv6 is off.
fn choose_address(key: SocketKey) -> SocketAddr {
    if !key.address.is_unspecified() {
        return SocketAddr::new(key.address, key.port);
    }
    let dual = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    let address: IpAddr = match bind(dual, key.transport, Reuse::Address) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(address, key.port)
}

fn listen(address: SocketAddr, transport: Transport) -> io::Result<Listening> {
    let socket = bind(address, transport, Reuse::Port)?;
    match transport {
        Transport::Tcp => {
            // Accepted connections inherit these, which saves system calls for each.
            socket.set_tcp_nodelay(true)?;
            socket.set_keepalive(true)?;
            let keepalive = TcpKeepalive::new()
                .with_time(Duration::from_mins(1))
                .with_interval(Duration::from_secs(15))
                .with_retries(4);
            socket.set_tcp_keepalive(&keepalive)?;
            socket.listen(BACKLOG)?;
            Ok(Listening::Tcp(socket.into()))
        }
        Transport::Udp | Transport::Quic => {
            // Less than asked for is still a socket that works.
            let _ = socket.set_recv_buffer_size(UDP_BUFFER);
            let _ = socket.set_send_buffer_size(UDP_BUFFER);
            let socket = socket.into();
            Ok(match transport {
                Transport::Quic => Listening::Quic(socket),
                _ => Listening::Udp(socket),
            })
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    /// TCP: take over from closed connections. Nobody else may listen.
    Address,
    /// The same, together with sockets of this user that ask for it, too.
    Port,
}

fn bind(address: SocketAddr, transport: Transport, reuse: Reuse) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp | Transport::Quic => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(
        Domain::for_address(address),
        kind.nonblocking(),
        Some(protocol),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if transport == Transport::Tcp {
        socket.set_reuse_address(true)?;
    }
    if reuse == Reuse::Port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp | Transport::Quic => "UDP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_key(transport: Transport) -> SocketKey {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let socket = bind(any, transport, Reuse::Address).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        SocketKey {
            address: Ipv4Addr::LOCALHOST.into(),
            port,
            transport,
        }
    }

    #[test]
    fn every_worker_gets_a_socket_and_the_port_is_then_taken() {
        for transport in [Transport::Tcp, Transport::Udp] {
            let key = free_key(transport);
            let sockets = open(key, 3, Port::Unused).unwrap();
            assert_eq!(sockets.len(), 3);
            let error = open(key, 1, Port::Unused).unwrap_err().to_string();
            assert!(
                error.contains(&format!("127.0.0.1:{}", key.port)),
                "{error}"
            );
            assert!(error.contains("another port"), "{error}");
            assert!(open(key, 1, Port::Ours).is_ok());
            drop(sockets);
            assert!(open(key, 1, Port::Unused).is_ok());
        }
    }

    #[test]
    fn accepted_connections_have_no_delay() {
        let key = free_key(Transport::Tcp);
        let sockets = open(key, 1, Port::Unused).unwrap();
        let Listening::Tcp(listener) = &sockets[0] else {
            panic!("no TCP socket");
        };
        let _client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, key.port)).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn an_address_of_another_host_is_named_as_such() {
        let key = SocketKey {
            address: IpAddr::from([192, 0, 2, 1]),
            port: 8080,
            transport: Transport::Tcp,
        };
        let error = open(key, 1, Port::Unused).unwrap_err().to_string();
        assert!(
            error.contains("192.0.2.1:8080") && error.contains("assign the address"),
            "{error}"
        );
    }

    #[test]
    fn the_unspecified_address_takes_ipv4_clients() {
        let key = SocketKey {
            address: Ipv4Addr::UNSPECIFIED.into(),
            ..free_key(Transport::Tcp)
        };
        let sockets = open(key, 1, Port::Unused).unwrap();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, key.port)).unwrap();
        if let Listening::Tcp(listener) = &sockets[0]
            && listener.local_addr().unwrap().is_ipv6()
        {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, key.port)).unwrap();
        }
    }
}
