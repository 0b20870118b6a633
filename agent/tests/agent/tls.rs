//! Certificates for tests, and TLS over blocking sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use novaedge_proto::v1::{self, resource::Body};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::support::{connect, resource};

/// A certificate authority.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and its key, as PEM.
pub struct Identity {
    chain: String,
    key: String,
}

pub type ClientStream = StreamOwned<ClientConnection, TcpStream>;

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub fn issue(&self, host: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn bundle(&self, name: &str) -> v1::Resource {
        let ca_pem = self.pem.clone().into_bytes().into();
        resource(name, Body::TrustBundle(v1::TrustBundle { ca_pem }))
    }

    /// What a client that trusts this authority, and speaks one of these protocols, goes by.
    pub fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        config
    }

    /// A client's TLS connection to a port of this host.
    pub fn connect(&self, port: u16, host: &str) -> ClientStream {
        let config = self.client(&[]);
        let name = host.to_owned().try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, connect(port))
    }
}

impl Identity {
    pub fn resource(&self, name: &str) -> v1::Resource {
        let certificate = v1::Certificate {
            chain_pem: self.chain.clone().into_bytes().into(),
            private_key_pem: self.key.clone().into_bytes().into(),
            fingerprint: String::new(),
        };
        resource(name, Body::Certificate(certificate))
    }

    fn server(&self) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let builder = ServerConfig::builder().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

/// Ends TLS, answers with the server name that it was asked for, then with all it got, until the
/// client's end.
pub fn tls_origin(identity: &Identity) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = identity.server();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || echo(StreamOwned::new(connection, stream)));
        }
    });
    address
}

fn echo(mut stream: StreamOwned<ServerConnection, TcpStream>) -> Option<()> {
    let mut buffer = [0; 1024];
    let mut read = stream.read(&mut buffer).ok()?;
    let name = stream.conn.server_name().unwrap_or("-").to_owned();
    stream.write_all(format!("{name}:").as_bytes()).ok()?;
    while read > 0 {
        stream.write_all(&buffer[..read]).ok()?;
        read = stream.read(&mut buffer).ok()?;
    }
    stream.write_all(b"!").ok()?;
    close(&mut stream.conn, &mut stream.sock);
    Some(())
}

/// Ends TLS on a connection, and answers as [`tls_origin`] does.
pub fn answer_over_tls(identity: &Identity, stream: TcpStream) {
    let connection = ServerConnection::new(identity.server()).unwrap();
    let _ = echo(StreamOwned::new(connection, stream));
}

/// Says `text`, ends its own direction, and hears the other to its end.
pub fn say(mut stream: ClientStream, text: &[u8]) -> std::io::Result<String> {
    stream.write_all(text)?;
    close(&mut stream.conn, &mut stream.sock);
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn close<D>(
    connection: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<D>>,
    socket: &mut TcpStream,
) {
    connection.send_close_notify();
    while connection.wants_write() {
        if connection.write_tls(socket).is_err() {
            return;
        }
    }
}
