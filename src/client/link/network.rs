//! The application says that the network has changed.

use crate::client::Conn;
use crate::client::state::Link;
use crate::client::state::course::Has;
use crate::client::state::log::Level;
use crate::error::Code;
use crate::time::Span;

/// So long may the answer to a PINGREQ take that finds out whether a link survived.
const PROBE: Span = Span::secs(3);

impl Conn {
    /// The network is another one than before: an attempt that is under way begins anew, one that waits begins at once. A
    /// link that is up is asked by PINGREQ whether it is still there, and if no answer comes within three seconds it is
    /// opened anew at once; or without that question, if it is to be `anew`. One that is closing comes back at once, if it is
    /// to come back.
    ///
    /// In a handler that is told of an end: as [`connect`](Conn::connect) there.
    pub fn network_changed(&self, anew: bool) -> Result<(), Code> {
        let mut st = self.usable()?;
        st.session.forget_path();
        let has = st.has();
        match has {
            // An attempt that is due begins in the next turn anyhow.
            Has::Nothing if !st.course.ending => return Ok(()),
            _ if !st.course.is_wanted() => return Ok(()),
            Has::Nothing | Has::Wait => st.course.ask(has),
            Has::Link if !anew && st.session.is_up() && matches!(st.link, Link::Open(_)) => {
                let delivery = st.delivery(self.context.send_queue);
                st.session.probe(self.context.driver.now(), PROBE, delivery)?;
                self.note(&mut st, Level::Info, format_args!("the network has changed: asking the server"));
            }
            Has::Link | Has::EndingLink => {
                st.end_link(Code::NetworkChanged, false);
                st.course.hurry();
            }
        }
        self.schedule(&mut st);
        Ok(())
    }
}
