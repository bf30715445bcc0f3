//! A door in front of a server: each connection leads where the door leads when it is made. The door may be shut.

use std::net::SocketAddr;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub struct Forwarder {
    port: u16,
    /// Where new connections lead; nowhere while the door is shut.
    target: watch::Sender<Option<SocketAddr>>,
    _task: JoinSet<()>,
}

impl Forwarder {
    /// A free port of the loopback interface that leads to another.
    pub async fn start(target: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (target, leads) = watch::channel(Some(loopback(target)));
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, leads.clone()));
            }
        });
        Ok(Self {
            port,
            target,
            _task: task,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead there; those that stand stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.target.send_replace(Some(loopback(port)));
    }

    /// Breaks every connection, and each new one, until the door leads somewhere again.
    pub fn shut(&self) {
        self.target.send_replace(None);
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn forward(mut client: TcpStream, mut leads: watch::Receiver<Option<SocketAddr>>) {
    let Some(target) = *leads.borrow_and_update() else {
        return;
    };
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = leads.wait_for(Option::is_none) => {}
    }
}
