//! The listening socket, and the two ends of what goes through it.
//!
//! A client takes answers from the address that it asked only. A socket that is bound to one address
//! answers from that; for one that is bound to all, each datagram says where it was sent to
//! (`IP_PKTINFO`, `IPV6_PKTINFO`, ip(7) and ipv6(7)), and the answer says where it is to come from.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The ends of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    /// The address that the client sends to; `None`: the one of the socket.
    pub(crate) local: Option<IpAddr>,
}

/// A listening socket.
pub(crate) struct Listening {
    socket: UdpSocket,
    bound: Bound,
    /// Room for what the kernel says about a datagram.
    control: RefCell<Vec<u8>>,
}

/// What a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    One,
    AllIpv4,
    /// IPv4 too, with mapped addresses.
    AllIpv6,
}

impl Listening {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let bound = match socket.local_addr()?.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Bound::AllIpv4,
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Bound::AllIpv6,
            _ => Bound::One,
        };
        match bound {
            Bound::One => {}
            Bound::AllIpv4 => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            Bound::AllIpv6 => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        let control = match bound {
            Bound::One => Vec::new(),
            Bound::AllIpv4 => nix::cmsg_space!(libc::in_pktinfo),
            Bound::AllIpv6 => nix::cmsg_space!(libc::in6_pktinfo),
        };
        Ok(Self {
            socket,
            bound,
            control: RefCell::new(control),
        })
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes a datagram, if there is one.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Ends)> {
        if self.bound == Bound::One {
            let (length, client) = self.socket.try_recv_from(buffer)?;
            let local = None;
            return Ok((length, Ends { client, local }));
        }
        self.socket
            .try_io(Interest::READABLE, || self.receive(buffer))
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Ends)> {
        let mut control = self.control.borrow_mut();
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let client = received.address.as_ref().and_then(address);
        let client = client.ok_or(io::ErrorKind::InvalidData)?;
        let local = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(ipv4(info.ipi_spec_dst).into()),
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
            }
            _ => None,
        });
        let local = local.filter(can_be_source);
        Ok((received.bytes, Ends { client, local }))
    }

    /// Sends a datagram to the client, from the address that it asked.
    pub(crate) fn try_send(&self, datagram: &[u8], ends: Ends) -> io::Result<usize> {
        match ends.local {
            None => self.socket.try_send_to(datagram, ends.client),
            Some(local) => self.socket.try_io(Interest::WRITABLE, || {
                self.send(datagram, ends.client, local)
            }),
        }
    }

    fn send(&self, datagram: &[u8], client: SocketAddr, local: IpAddr) -> io::Result<usize> {
        let send = |control| {
            sendmsg(
                self.socket.as_raw_fd(),
                &[IoSlice::new(datagram)],
                &[control],
                MsgFlags::empty(),
                Some(&SockaddrStorage::from(client)),
            )
        };
        // The interface is left to routing.
        let sent = match local {
            IpAddr::V4(local) => send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(local.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            })),
            IpAddr::V6(local) => send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: local.octets(),
                },
                ipi6_ifindex: 0,
            })),
        };
        Ok(sent?)
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|&v4| SocketAddr::from(v4));
    v4.or_else(|| storage.as_sockaddr_in6().map(|&v6| SocketAddr::from(v6)))
}

fn ipv4(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(address.s_addr.to_ne_bytes())
}

/// A group is answered from whatever address routing chooses.
fn can_be_source(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_multicast(),
    }
}
