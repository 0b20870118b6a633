//! The way of a session to its endpoint.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use novaedge_balance::Member;
use novaedge_router::Backend;
use socket2::{Domain, Protocol, Type};
use tokio::net::UdpSocket;

use super::MAX_WAITING;
use crate::balance::Slot;
use crate::error::Error;
use crate::worker::Worker;

/// The way to the endpoint.
#[derive(Default)]
pub(super) struct Link {
    /// `None` while the endpoint's name is resolved.
    pub(super) socket: RefCell<Option<Rc<UdpSocket>>>,
    /// Set once the socket takes datagrams; those before wait.
    writable: Cell<bool>,
    waiting: RefCell<Vec<Vec<u8>>>,
}

impl Link {
    /// Connects to the first endpoint that has an address and a way to it, or settles on the first
    /// one that is named by DNS.
    pub(super) fn connect(
        &self,
        backend: &Backend,
        slot: &Slot,
        client: IpAddr,
    ) -> Result<Rc<Member>, Error> {
        let mut cause = None;
        for endpoint in slot.order(backend, client) {
            let Some(address) = endpoint.endpoint().socket_addr() else {
                return Ok(endpoint);
            };
            match connect(address) {
                Ok(socket) => {
                    self.settle(socket);
                    return Ok(endpoint);
                }
                Err(error) => cause = Some(error),
            }
        }
        Err(Error::no_connection(backend, cause))
    }

    pub(super) fn settle(&self, socket: UdpSocket) -> Rc<UdpSocket> {
        let socket = Rc::new(socket);
        *self.socket.borrow_mut() = Some(Rc::clone(&socket));
        socket
    }

    pub(super) fn send<S>(&self, worker: &Worker<S>, datagram: &[u8]) {
        let sent = if let Some(socket) = self
            .socket
            .borrow()
            .as_ref()
            .filter(|_| self.writable.get())
        {
            send(socket, datagram)
        } else {
            let mut waiting = self.waiting.borrow_mut();
            let room = waiting.len() < MAX_WAITING;
            if room {
                waiting.push(datagram.to_vec());
            }
            room
        };
        if !sent {
            worker.counters.udp_dropped_datagrams_total.add(1);
        }
    }

    pub(super) fn flush<S>(&self, worker: &Worker<S>, socket: &UdpSocket) {
        self.writable.set(true);
        for datagram in self.waiting.take() {
            if !send(socket, &datagram) {
                worker.counters.udp_dropped_datagrams_total.add(1);
            }
        }
    }
}

fn send(socket: &UdpSocket, datagram: &[u8]) -> bool {
    match socket.try_send(datagram) {
        Ok(_) => true,
        // The error belongs to a datagram before; reading it has cleared it.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            socket.try_send(datagram).is_ok()
        }
        Err(_) => false,
    }
}

/// A socket that sends to this address and receives from it alone.
pub(super) fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.bind(&SocketAddr::new(any, 0).into())?;
    socket.connect(&address.into())?;
    UdpSocket::from_std(socket.into())
}
