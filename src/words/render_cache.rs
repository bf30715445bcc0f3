//! Posts are written once for all channels that show the same words.
//!
//! A notice falls due in every channel at once. The channels ask one after the other, so what was written last is kept:
//! one sheet, with the Markdown of a notice and the body that each platform makes of it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::{
    Text,
    context::{self, Asked, Moment, Trouble},
};
use crate::{
    config::Topic,
    domain::{chain::fact::Fact, outbox::post::Body, plan::notice::Notice},
    listen::rollcall::Missing,
    outbox::Book,
    ports::{Accepting, Platform},
};

#[derive(Default)]
pub struct Press(Mutex<Option<Sheet>>);

/// What is to be put into words.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub accepted: &'a Accepting,
    pub notice: &'a Notice,
    /// The notice's own, or that of its thread.
    pub template: &'a str,
    pub locale: &'a str,
    pub moment: &'a Moment<'a>,
}

/// Everything that the words depend on, and the words.
struct Sheet {
    book: Arc<Book>,
    template: String,
    locale: String,
    notice: Notice,
    accepted: Accepting,
    fact: Option<Fact>,
    due: Option<Timestamp>,
    late: bool,
    thread: Option<String>,
    next: Option<(String, Timestamp)>,
    troubles: Vec<Trouble>,
    detail: Option<String>,
    topic: Option<Topic>,
    approval: Option<Asked>,
    correction: Option<String>,
    missing: Vec<Missing>,
    process: bool,
    text: Text,
    /// Each with the time at which it was seen, since a body says how long it is until then.
    bodies: Vec<(Platform, Timestamp, Body)>,
}

impl Press {
    /// The body on a platform, seen at `now`; `Err` names template, line and reason.
    pub fn body(&self, book: &Arc<Book>, wanted: Wanted<'_>, platform: Platform, now: Timestamp) -> Result<Body, String> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sheet = match last.take().filter(|sheet| sheet.fits(book, wanted)) {
            Some(sheet) => last.insert(sheet),
            None => last.insert(Sheet::write(book, wanted)?),
        };
        if let Some((.., body)) = sheet.bodies.iter().find(|(p, at, _)| *p == platform && *at == now) {
            return Ok(body.clone());
        }
        let body = book.renderer.body(&sheet.text, platform, now);
        sheet.bodies.retain(|(p, ..)| *p != platform);
        sheet.bodies.push((platform, now, body.clone()));
        Ok(body)
    }
}

impl Sheet {
    fn write(book: &Arc<Book>, Wanted { accepted, notice, template, locale, moment }: Wanted<'_>) -> Result<Self, String> {
        let text = book.renderer.markdown(template, locale, &context::of(accepted, Some(notice), &book.config, moment).into())?;
        // Taken apart, so that whatever a moment will have besides is kept and compared too.
        let Moment { fact, due, late, thread, next, troubles, detail, topic, approval, correction, missing, process } = moment.clone();
        Ok(Self {
            book: book.clone(),
            template: template.to_owned(),
            locale: locale.to_owned(),
            notice: notice.clone(),
            accepted: accepted.clone(),
            fact: fact.cloned(),
            due,
            late,
            thread: thread.map(str::to_owned),
            next: next.map(|(notice, at)| (notice.to_owned(), at)),
            troubles: troubles.to_vec(),
            detail: detail.map(str::to_owned),
            topic: topic.cloned(),
            approval: approval.cloned(),
            correction: correction.map(str::to_owned),
            missing: missing.to_vec(),
            process,
            text,
            bodies: Vec::new(),
        })
    }

    fn fits(&self, book: &Arc<Book>, Wanted { accepted, notice, template, locale, moment }: Wanted<'_>) -> bool {
        let Moment { fact, due, late, thread, next, troubles, detail, topic, approval, correction, missing, process } = moment;
        Arc::ptr_eq(&self.book, book)
            && self.template == template
            && self.locale == locale
            && self.notice == *notice
            && self.fact.as_ref() == *fact
            && (self.due, self.late, self.thread.as_deref()) == (*due, *late, *thread)
            && self.next.as_ref().map(|(notice, at)| (notice.as_str(), *at)) == *next
            && self.troubles == *troubles
            && self.detail.as_deref() == *detail
            && self.topic.as_ref() == *topic
            && self.approval.as_ref() == *approval
            && self.correction.as_deref() == *correction
            && self.missing == *missing
            && self.process == *process
            && self.accepted == *accepted
    }
}

#[cfg(all(test, feature = "discord", feature = "matrix", feature = "chain", feature = "sql"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        adapters::store::SqlStore, cli::args, config::Origin, domain::campaign::upgrade::Urgency, outbox::Core, rehearsal::SteppedClock,
    };

    #[tokio::test]
    async fn whatever_is_asked_for_is_what_would_be_written_anew() {
        let loaded = args::load(&Origin::Embedded).unwrap();
        let (accepted, fact) = context::sample(&loaded.config.plan, |n| "m".repeat(n));
        let clock = Arc::new(SteppedClock::new(accepted.accepted));
        let store = Arc::new(SqlStore::open("sqlite::memory:").await.unwrap());
        let core = Core::new(Book { config: loaded.config, renderer: loaded.renderer }, BTreeMap::new(), clock, store);
        let book = core.book();
        let mut other = accepted.clone();
        other.upgrade.title = "Another".into();
        let (one, two) = (accepted.accepted, accepted.accepted + jiff::SignedDuration::from_hours(1));
        let trouble = [Trouble { kind: "waiting", posts: Some(1), ..Trouble::default() }];
        let moment = Moment { fact: Some(&fact), due: Some(one), ..Moment::default() };
        let moments = [
            moment.clone(),
            Moment { late: true, ..moment.clone() },
            Moment { due: Some(two), late: true, ..moment.clone() },
            Moment { fact: None, ..moment.clone() },
            Moment { thread: Some("https://chat.example.org/1"), ..moment.clone() },
            Moment { next: Some(("notice", two)), troubles: &trouble, ..moment },
        ];
        let notices: Vec<&Notice> = ["verified", "countdown", "reminder-1d", "reminder-1h"]
            .iter()
            .filter_map(|id| book.plan().notice(Urgency::Routine, id))
            .collect();
        assert_eq!(notices.len(), 4);
        let mut seen = std::collections::BTreeSet::new();
        // Each is asked for twice and after each other, and none gets the words of another.
        for accepted in [&accepted, &other, &accepted] {
            for notice in &notices {
                for moment in &moments {
                    for (platform, now) in
                        [(Platform::Discord, one), (Platform::Matrix, one), (Platform::Matrix, two), (Platform::Matrix, one)]
                    {
                        let got = {
                            let wanted = Wanted { accepted, notice, template: &notice.template, locale: "en", moment };
                            core.press.body(&book, wanted, platform, now).unwrap()
                        };
                        let markdown = book
                            .renderer
                            .markdown(&notice.template, "en", &context::of(accepted, Some(notice), &book.config, moment).into())
                            .unwrap();
                        assert_eq!(got, book.renderer.body(&markdown, platform, now), "{} {moment:?}", notice.id);
                        seen.insert(got.text);
                    }
                }
            }
        }
        assert!(seen.len() > 30, "they do differ: {}", seen.len());
    }
}
