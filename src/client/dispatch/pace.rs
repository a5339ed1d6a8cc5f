//! Asking the clock while callbacks run.

use crate::client::Conn;
use crate::client::conn::State;

impl Conn {
    /// So many callbacks have run.
    #[inline(always)]
    pub(in crate::client) fn ran(&self, st: &mut State, n: usize) {
        if st.pace.count(n) {
            self.look_at_clock(st);
        }
    }

    #[cold]
    #[inline(never)]
    fn look_at_clock(&self, st: &mut State) {
        st.pace.look(self.context.driver.now());
        // So that whoever goes on without looking at anything sees that there is something to be looked at.
        st.epoch = st.epoch.wrapping_add(1);
    }
}
