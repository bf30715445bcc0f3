//! HTTPS for `discord.com` on loopback: a certificate authority of our own, and connections that
//! can be cut from the inside.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

/// A server's TLS settings, with the root (PEM) that a client must trust.
pub(super) fn identity() -> (Arc<ServerConfig>, String) {
    let mut root = rcgen::CertificateParams::default();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "Discord double, root");
    let key = rcgen::KeyPair::generate().expect("a key for the root");
    let root = rcgen::CertifiedIssuer::self_signed(root, key).expect("a root certificate");

    let names = ["discord.com", "localhost", "127.0.0.1"].map(str::to_owned);
    let mut leaf = rcgen::CertificateParams::new(names).expect("valid names");
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().expect("a key for the server");
    let certificate = leaf.signed_by(&key, &root).expect("a server certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

    // The provider is named: a process with two of them has no default.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a usable certificate");
    (Arc::new(config), root.pem())
}

/// Accepts TLS connections; a slow handshake doesn't hold up the others.
pub(super) struct TlsListener {
    ready: mpsc::UnboundedReceiver<(Cuttable, SocketAddr)>,
    addr: SocketAddr,
}

impl TlsListener {
    pub(super) fn new(tcp: TcpListener, config: Arc<ServerConfig>) -> Self {
        let addr = tcp.local_addr().expect("a bound listener");
        let (send, ready) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            while let Ok((stream, peer)) = tcp.accept().await {
                let (acceptor, done) = (acceptor.clone(), send.clone());
                if done.is_closed() {
                    return;
                }
                tokio::spawn(async move {
                    // A reply is a header and a body: without this they wait for each other.
                    let _ = stream.set_nodelay(true);
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = done.send((Cuttable::new(stream), peer));
                    }
                });
            }
        });
        TlsListener { ready, addr }
    }
}

impl Listener for TlsListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        match self.ready.recv().await {
            Some(next) => next,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

/// Cuts the connection that carries a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Cutter(Arc<AtomicBool>);

impl Cutter {
    /// From now on nothing more is written, and the peer sees the connection close.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Cutter {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.io().cutter.clone()
    }
}

/// A TLS stream that fails once it is cut.
pub(super) struct Cuttable {
    stream: TlsStream<TcpStream>,
    cutter: Cutter,
}

impl Cuttable {
    fn new(stream: TlsStream<TcpStream>) -> Self {
        Cuttable {
            stream,
            cutter: Cutter::default(),
        }
    }

    fn alive(&self) -> io::Result<()> {
        match self.cutter.0.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alive()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
