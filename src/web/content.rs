//! The content of the site: everything that readers can ask for, as it is now.

use std::collections::BTreeMap;

use axum::body::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{api, feed, page};
use crate::{
    report::bulletin::Bulletin,
    words::{Zone, picture},
};

/// A page or a file.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub kind: &'static str,
    pub bytes: Bytes,
    /// The tag by which a reader knows that it is still the same.
    pub tag: String,
    /// True if another site's scripts may read it.
    pub open: bool,
}

/// All pages and files, written together.
#[derive(Debug, Default)]
pub struct SiteContent {
    bulletins: Vec<Bulletin>,
    name: String,
    resources: BTreeMap<String, Resource>,
    lost: String,
    closed: bool,
}

const HTML_TYPE: &str = "text/html; charset=utf-8";
const JSON_TYPE: &str = "application/json";

impl SiteContent {
    /// Writes everything that there is to say of these upgrades.
    pub fn write(
        bulletins: Vec<Bulletin>,
        title: &str,
        address: &str,
        zone: &Zone,
        now: Timestamp,
    ) -> Self {
        let site = page::PageContext {
            title,
            zone,
            bulletins: &bulletins,
        };
        let mut resources = BTreeMap::new();
        let mut put = |path: String, kind: &'static str, open: bool, bytes: Vec<u8>| {
            let tag = format!("\"{}\"", short(&bytes));
            let bytes = bytes.into();
            let resource = Resource {
                kind,
                bytes,
                tag,
                open,
            };
            resources.insert(path, resource);
        };
        for bulletin in &bulletins {
            let page = format!("/upgrades/{}", bulletin.id);
            if let Some(times) = &bulletin.picture {
                let png = picture::block_times(times).png;
                put(format!("{page}/block-times.png"), "image/png", false, png);
            }
            put(
                format!("/api/v1{page}"),
                JSON_TYPE,
                true,
                api::one(bulletin),
            );
            put(page, HTML_TYPE, false, site.page_of(bulletin).into_bytes());
        }
        let calendar = feed::calendar(&bulletins, title, address, now).into_bytes();
        let atom = feed::atom(&bulletins, title, address, zone).into_bytes();
        let api_description = api::description(title, address);
        let (style, script) = (page::PAGE_CSS.into(), page::PAGE_SCRIPT.into());
        for (path, kind, open, bytes) in [
            ("/", HTML_TYPE, false, site.front().into_bytes()),
            ("/api/v1/upgrades", JSON_TYPE, true, api::all(&bulletins)),
            ("/api/v1/openapi.json", JSON_TYPE, true, api_description),
            (
                "/calendar.ics",
                "text/calendar; charset=utf-8",
                true,
                calendar,
            ),
            (
                "/feed.atom",
                "application/atom+xml; charset=utf-8",
                true,
                atom,
            ),
            (
                "/state.svg",
                "image/svg+xml",
                false,
                site.icon().into_bytes(),
            ),
            ("/herald.css", "text/css; charset=utf-8", false, style),
            (
                "/herald.js",
                "text/javascript; charset=utf-8",
                false,
                script,
            ),
        ] {
            put(path.to_owned(), kind, open, bytes);
        }
        let lost = site.lost();
        let mut all = Sha256::new();
        resources.values().for_each(|r| all.update(&r.bytes));
        let name = first_digits(all);
        Self {
            name,
            resources,
            lost,
            closed: false,
            bulletins,
        }
    }

    /// Makes the last content: readers who follow are told no more.
    pub(super) fn closing() -> Self {
        Self {
            closed: true,
            ..Self::default()
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_written(&self) -> bool {
        !self.resources.is_empty()
    }

    pub(super) fn bulletins(&self) -> &[Bulletin] {
        &self.bulletins
    }

    /// Returns the name of this content, which is another for each that differs.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Finds a page or a file, and returns its media type and its bytes.
    pub fn read(&self, path: &str) -> Option<(&'static str, &[u8])> {
        self.find(path).map(|found| (found.kind, &*found.bytes))
    }

    pub(super) fn find(&self, path: &str) -> Option<&Resource> {
        self.resources.get(path)
    }

    /// Returns the page for an address that isn't there.
    pub(super) fn lost(&self) -> &str {
        &self.lost
    }
}

fn short(bytes: &[u8]) -> String {
    first_digits(Sha256::new_with_prefix(bytes))
}

/// The first 16 hex digits of a hash.
fn first_digits(hash: Sha256) -> String {
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(16);
    digits
}
