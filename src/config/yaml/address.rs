//! Addresses, read so that two that lead to one place are equal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The parts of an address that say where it leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    pub scheme: String,
    /// In small letters; an IP address as numbers, this machine's as 127.0.0.1.
    pub host: String,
    /// The one of the scheme, if none is written.
    pub port: u16,
    /// With the query, and without what only looks different: a `/` at the end, `//`, `.` and `..`, an empty query, `%` before
    /// what needs none.
    pub path: String,
    pub has_user: bool,
}

impl Address {
    /// Reads an address with a host, such as `wss://rpc.example.org:443/paseo`; nothing for one that leads nowhere.
    pub fn read(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(user, place)| (Some(user), place));
        let is_ipv6 = place.starts_with('[');
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !is_ipv6 || host.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let port = match port {
            Some(digits) if digits.chars().all(|c| c.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None if matches!(scheme.as_str(), "wss" | "https") => 443,
            None => 80,
        };
        let path = path.split('#').next().unwrap_or_default();
        Some(Self {
            host: host_of(host)?,
            path: path_of(path),
            has_user: user.is_some(),
            scheme,
            port,
        })
        .filter(|address| address.port > 0)
    }
}

fn host_of(host: &str) -> Option<String> {
    let (host, is_ipv6) = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner) => (inner, true),
        None => (host, false),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let of_ip = |ip: IpAddr| match ip {
        // A connection to the unspecified address is one to this machine.
        ip if ip == IpAddr::V6(Ipv6Addr::LOCALHOST) || ip.is_unspecified() => {
            "127.0.0.1".to_owned()
        }
        ip => ip.to_string(),
    };
    if is_ipv6 {
        let ip = host.parse::<Ipv6Addr>().ok()?;
        return Some(of_ip(ip.to_canonical()));
    }
    if let Some(ip) = ipv4(&host) {
        return Some(of_ip(IpAddr::V4(ip)));
    }
    let is_label = |label: &str| {
        let fits = |c: char| match c.is_ascii() {
            true => c.is_ascii_alphanumeric() || c == '-' || c == '_',
            // Letters of all scripts, with their marks.
            false => !c.is_whitespace() && !c.is_control(),
        };
        let is_short = !label.is_ascii() || label.len() <= 63;
        !label.is_empty() && is_short && label.chars().all(fits)
    };
    // A name whose last part is a number is an IP address that is none.
    let is_number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let is_name = host.split('.').all(is_label) && !host.rsplit('.').next().is_some_and(is_number);
    is_name.then(|| match host.as_str() {
        "localhost" => "127.0.0.1".to_owned(),
        _ => host,
    })
}

/// Reads an IPv4 address in each form that resolvers take: `127.0.0.1`, `127.1`, `0x7f.1`, `2130706433`.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let bits = 8 * u32::try_from(4_usize.checked_sub(first.len())?).ok()?;
    if first.iter().any(|part| *part > 255) || (bits < 32 && *last >> bits > 0) || first.len() > 3 {
        return None;
    }
    let high = first
        .iter()
        .zip([24, 16, 8])
        .map(|(part, shift)| part << shift)
        .sum::<u32>();
    Some(Ipv4Addr::from(high + last))
}

fn path_of(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts: Vec<String> = Vec::new();
    for part in path
        .split(['/', '\\'])
        .map(decoded)
        .filter(|part| !part.is_empty() && part != ".")
    {
        match part.as_str() {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", decoded(query))
    };
    format!("/{}{query}", parts.join("/"))
}

/// A text without `%` before what needs none: letters, digits and `-._~`.
fn decoded(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let unreserved = byte
            .map(char::from)
            .filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c));
        match unreserved {
            Some(c) => decoded.push(c),
            None => {
                decoded.push('%');
                decoded.push_str(&after.get(..2).unwrap_or(after).to_ascii_uppercase());
            }
        }
        rest = after.get(2..).unwrap_or_default();
    }
    decoded.push_str(rest);
    decoded
}
