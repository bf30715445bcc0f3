//! The pages that herald serves by itself.

use std::net::{Ipv4Addr, SocketAddr};

use super::shape::{RawWeb, web_title};
use crate::config::yaml::{finding::Finding, source::SourceFile};

/// Characters of the page's title.
const TITLE_MAX: usize = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// The address of the status page, for everybody.
    pub listen: Option<SocketAddr>,
    /// The address of what monitors ask for.
    pub operations: Option<SocketAddr>,
    /// The address where readers find the page, with a slash at its end.
    pub address: Option<String>,
    pub title: String,
}

impl Web {
    /// The page alone, on a free port of this machine, under the title that it has in the files.
    pub fn on_this_machine(configured: Option<Self>) -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            operations: None,
            address: None,
            title: configured.map_or_else(web_title, |web| web.title),
        }
    }
}

pub(super) fn web(raw: RawWeb, file: &SourceFile, findings: &mut Vec<Finding>) -> Option<Web> {
    let mut socket = |key: &str, text: Option<&String>| {
        let address = text.map(|text| text.parse::<SocketAddr>());
        if let Some(Err(_)) = &address {
            findings.push(file.wrong(
                &["web", key],
                "this is not an address",
                "write IP:port, such as 127.0.0.1:8080",
            ));
        }
        address.and_then(Result::ok)
    };
    let (listen, operations) = (
        socket("listen", raw.listen.as_ref()),
        socket("operations", raw.operations.as_ref()),
    );
    if raw.listen.is_none() && raw.operations.is_none() {
        findings.push(file.wrong(
            &["web"],
            "nothing is served",
            "add `listen:` for the status page or `operations:` for monitors, or remove `web`",
        ));
    }
    if listen.is_some_and(|at| at.port() != 0) && listen == operations {
        findings.push(file.wrong(
            &["web", "operations"],
            "that is the status page's address",
            "take another port: monitors are told what readers need not know",
        ));
    }
    let is_address = |text: &String| {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| {
            let host = host.strip_suffix('/').unwrap_or(host);
            !host.is_empty()
                && !host.contains(|c: char| {
                    c.is_whitespace() || c.is_control() || "\"<>?#/@".contains(c)
                })
        })
    };
    if raw.address.as_ref().is_some_and(|a| !is_address(a)) {
        findings.push(file.wrong(
            &["web", "address"],
            "this is not the address of a site of its own",
            "write where readers find the page, without a path: https://status.example.org/",
        ));
    }
    let title = raw.title.trim().to_owned();
    if title.is_empty() || title.chars().count() > TITLE_MAX || title.contains('\n') {
        findings.push(file.wrong(
            &["web", "title"],
            "the title is empty, too long, or has several lines",
            "write 1 to 60 characters in one line, or leave it out",
        ));
    }
    let address = raw
        .address
        .map(|address| format!("{}/", address.trim_end_matches('/')));
    Some(Web {
        listen,
        operations,
        address,
        title,
    })
}
