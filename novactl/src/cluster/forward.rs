//! Connections to pods through the API server, as `kubectl port-forward` makes them: pods need no address that can be
//! reached from here, and a control plane takes such a connection for one of its own host.

use std::{io, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::Api;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsConnector;

use super::{
    Cluster, ClusterError, Pod,
    api::{Asked, Late, Verb, escaped, limited},
};
use crate::object::text;

/// Where control planes serve gRPC when the pod does not name the port.
const GRPC_PORT: u16 = 18_000;
/// How long a handshake with a control plane may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Of an answer over HTTP.
const MAX_ANSWER: u64 = 16 << 20;
/// The ConfigMap of the control plane's authorities, and the key in it.
const BUNDLE: (&str, &str) = ("novaedge-ca-bundle", "ca.crt");
/// With this argument a control plane speaks plaintext.
const PLAINTEXT: &str = "--insecure-plaintext";

/// A connection, whatever is under it.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Cluster {
    /// A connection to the gRPC endpoint of a control plane, with the TLS that it speaks.
    pub(crate) async fn control_plane(
        &self,
        pod: &Pod,
    ) -> Result<Box<dyn Connection>, ClusterError> {
        let port = pod.port("grpc").unwrap_or(GRPC_PORT);
        if pod.has_argument(PLAINTEXT) {
            let (stream, _) = self.forward(pod, port).await?;
            return Ok(Box::new(stream));
        }
        let settings = self.settings().await?;
        let (stream, refused) = self.forward(pod, port).await?;
        let name = format!("novaedge-control-plane.{}.svc", self.system);
        let failed = |reason: String| self.failed(pod, port, reason);
        let name = ServerName::try_from(name).map_err(|error| failed(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::new(settings)).connect(name, stream);
        let stream = tokio::select! {
            stream = tokio::time::timeout(HANDSHAKE_LIMIT, handshake) => stream,
            Some(why) = refused => return Err(failed(why)),
        };
        let stream = stream
            .map_err(|_| failed("no TLS handshake in 10 s".to_owned()))?
            .map_err(|error| failed(format!("TLS: {error}")))?;
        Ok(Box::new(stream))
    }

    /// What a pod answers to GET, at most 16 MiB of it, and whether that is all.
    pub async fn http_get(
        &self,
        pod: &Pod,
        port: u16,
        path: &str,
    ) -> Result<(String, Whole), ClusterError> {
        let (mut stream, refused) = self.forward(pod, port).await?;
        let failed = |reason: String| self.failed(pod, port, reason);
        let exchange = async {
            let head = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::new();
            let mut limited = stream.take(MAX_ANSWER);
            limited.read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        };
        let answer = tokio::select! {
            answer = limited(exchange) => answer,
            Some(why) = refused => return Err(failed(why)),
        };
        let answer = answer.map_err(|Late| failed("no answer in 30 s".to_owned()))?;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let whole = if answer.len() as u64 == MAX_ANSWER {
            Whole::Cut
        } else {
            Whole::All
        };
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            return Err(failed(format!("{path} answers {status}")));
        }
        Ok((body.to_owned(), whole))
    }

    /// A connection to a port of a pod, and the words of whoever cannot make it.
    async fn forward(
        &self,
        pod: &Pod,
        port: u16,
    ) -> Result<(DuplexStream, impl Future<Output = Option<String>> + use<>), ClusterError> {
        let api: Api<PodObject> = Api::namespaced(self.client().clone(), &pod.namespace);
        let asked = Asked::core(Verb::Open, "pods/portforward", &pod.namespace);
        let made = limited(api.portforward(&pod.name, &[port])).await;
        let made = made.map_err(|Late| self.late())?;
        let mut forwarder = made.map_err(|error| match &error {
            kube::Error::UpgradeConnection(why) => self.failed(pod, port, why.to_string()),
            error => self.trouble(&asked, error),
        })?;
        // The task of the forwarder ends with the stream.
        let taken = forwarder.take_stream(port).zip(forwarder.take_error(port));
        taken.ok_or_else(|| self.failed(pod, port, "the port is taken".to_owned()))
    }

    /// TLS by the authorities that agents are given as well.
    async fn settings(&self) -> Result<ClientConfig, ClusterError> {
        let (name, key) = BUNDLE;
        let path = format!(
            "/api/v1/namespaces/{}/configmaps/{name}",
            escaped(&self.system)
        );
        let asked = Asked::core(Verb::Get, "configmaps", &self.system);
        let missing = |reason: &str| ClusterError::NoAuthority {
            context: self.context.clone(),
            namespace: self.system.clone(),
            reason: reason.to_owned(),
        };
        let bundle = self.get(&path, &asked).await?;
        let bundle = bundle.ok_or_else(|| missing("it is not there"))?;
        let pem = text(&bundle, &format!("/data/{key}"));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
            // One that cannot be read certifies nobody.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(missing("there is none in it"));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| missing(&error.to_string()))?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    fn failed(&self, pod: &Pod, port: u16, reason: String) -> ClusterError {
        ClusterError::Forward {
            context: self.context.clone(),
            pod: format!("{}/{}", pod.namespace, pod.name),
            port,
            reason,
        }
    }
}

/// Whether an answer is all that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It is.
    All,
    /// The rest was left out.
    Cut,
}
