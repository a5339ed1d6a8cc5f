//! What the client has read and perhaps not taken.
//!
//! It reads many packets at once and takes them one by one. Time that passes meanwhile, in a callback, can end its turn, and
//! the rest waits in its memory: as good as in the kernel's. When the link ends before its next turn, that is gone, and
//! only the client knows how much of it there was. Those who read on, or have nothing left to do, have taken all; and so
//! has one whose turns take no time.

use crate::watch::{PULLED, Stage};
use crate::world::World;

/// A packet that was read.
#[derive(Clone, Copy, Debug)]
pub enum Untaken {
    /// The last acknowledgement of a message of the client; the broker has lost its session since.
    Done { n: u32, lost: bool },
    /// PUBREC.
    Received(u32),
    /// A message for the client.
    Message(u32),
    /// PUBREL.
    Released { id: u16, n: u32 },
}

impl World {
    /// The client has nothing left to do.
    pub fn takes_all(&mut self) {
        self.turn_took_time = false;
        if let Some(l) = self.cur {
            self.links[l].tap.untaken.clear();
        }
    }

    /// It tells of a message: it has taken it, and what came before.
    pub fn took(&mut self, n: u32) {
        let pulled = self.pulls && self.inn[n as usize].topic == PULLED;
        let Some(l) = self.cur else { return };
        let tap = &mut self.links[l].tap;
        if let Some(at) = tap.untaken.iter().position(|u| matches!(u, Untaken::Message(of) if *of == n)) {
            tap.untaken.drain(..=at);
        }
        if let Some(entry) = tap.inbound.iter_mut().find(|i| i.n == n && i.either) {
            (entry.stage, entry.either, entry.held) = (Stage::Read, false, pulled);
        }
    }

    /// The broker has lost its session.
    pub fn lost_untaken(&mut self) {
        let Some(l) = self.cur else { return };
        for untaken in &mut self.links[l].tap.untaken {
            if let Untaken::Done { lost, .. } = untaken {
                *lost = true;
            }
        }
    }

    /// The application gives the link up. What the client has not come to by then is not for the queue any more.
    pub fn leaves_untaken(&mut self) {
        let Some(l) = self.cur else { return };
        for untaken in &self.links[l].tap.untaken {
            if let Untaken::Message(n) = untaken
                && self.pulls
                && self.inn[*n as usize].topic == PULLED
            {
                self.inn[*n as usize].unsure = true;
            }
        }
    }

    /// The link is gone.
    pub fn ends_untaken(&mut self, l: usize) {
        let untaken = std::mem::take(&mut self.links[l].tap.untaken);
        if !self.turn_took_time {
            return;
        }
        for untaken in untaken {
            match untaken {
                Untaken::Done { n, lost } => {
                    let out = &mut self.out[n as usize];
                    // Its id may have been given to another, and then it was taken.
                    if out.outcome.is_none() && !self.ids.contains_key(&out.id) {
                        (out.done, out.maybe_done) = (false, true);
                        out.lossy |= lost;
                        self.ids.insert(out.id, n);
                    }
                }
                Untaken::Received(n) => {
                    let out = &mut self.out[n as usize];
                    out.maybe_rec = out.rel_due && out.rel.is_none();
                }
                Untaken::Message(n) => self.inn[n as usize].unsure = true,
                Untaken::Released { id, n } => {
                    let inn = &mut self.inn[n as usize];
                    (inn.released, inn.unsure) = (false, true);
                    if let Some(s) = self.links[l].session {
                        self.sessions[s].stale.push((id, n));
                    }
                }
            }
        }
    }

    /// The message that has this packet id. `by` who wants to use it, if that is a message: for another one, one whose end
    /// may have been taken has been at its end.
    pub fn in_use(&mut self, id: u16, by: Option<u32>) -> Option<u32> {
        let n = self.ids.get(&id).copied()?;
        if by != Some(n) {
            self.was_done(n);
        }
        self.ids.contains_key(&id).then_some(n)
    }

    /// If the end of a message may have been taken, it was.
    pub fn was_done(&mut self, n: u32) {
        let out = &mut self.out[n as usize];
        if std::mem::take(&mut out.maybe_done) {
            out.done = true;
            self.ids.remove(&out.id);
        }
    }
}
