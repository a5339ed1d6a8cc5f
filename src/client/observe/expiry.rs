//! Expiring certificates: reported when the connection comes up, and once a day while it stays up.

use std::fmt;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{Event, Kind, Owner};
use crate::client::state::log::Level;
use crate::client::state::tries::PLAUSIBLE_TIME;
use crate::driver::Turn;
use crate::sync::MutexGuard;
use crate::time::Span;

pub(in crate::client) const DAY: f64 = 86_400.0;

impl Conn {
    /// Reports certificates that expire soon, and schedules the next check in a day.
    pub(in crate::client) fn tell_expiry<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &Turn<'_>,
    ) -> MutexGuard<'a, State> {
        let Some(notice) = st.profile.tls.expiry_notice.0 else { return st };
        let ends = [(Owner::Client, st.expiry.ends.client), (Owner::Server, st.expiry.ends.server)];
        if st.freed || !self.is_connected() || ends.iter().all(|(_, end)| end.is_none()) {
            return st;
        }
        st.expiry.make().look_at = Some(turn.now + Span::secs(DAY as u64));
        let now = (self.context.wall_clock)();
        if now < PLAUSIBLE_TIME {
            // Without a set clock nothing can be said about other times.
            return st;
        }
        let generation = st.generation;
        for (owner, end) in ends {
            let Some(end) = end else { continue };
            // Whole days: 0 on the last one, negative after it.
            let days = ((end - now) / DAY).floor() as i32;
            if days > i32::try_from(notice).unwrap_or(i32::MAX) {
                continue;
            }
            let whose = match owner {
                Owner::Client => "this client",
                Owner::Server => "the server",
            };
            let mut note = |text: fmt::Arguments<'_>| self.note(&mut st, Level::Warn, text);
            match days {
                ..0 => note(format_args!("the certificate of {whose} has expired")),
                0 => note(format_args!("the certificate of {whose} expires within a day")),
                1 => note(format_args!("the certificate of {whose} expires in 1 day")),
                _ => note(format_args!("the certificate of {whose} expires in {days} days")),
            }
            let event = Event::Expiry { owner, days };
            st = self.tell(st, |h, recipients| h.connection(Kind::Expiry, recipients), &event);
            if st.generation != generation || st.freed {
                return st;
            }
        }
        st
    }
}
