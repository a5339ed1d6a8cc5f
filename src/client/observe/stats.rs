//! What a connection counts, beside what its session does.

use crate::client::Conn;
use crate::client::state::stats::Snapshot;

impl Conn {
    /// A snapshot of what was counted. The connection's lock is held for a copy of some hundred bytes.
    pub fn stats(&self) -> Snapshot {
        let now = self.context().driver.now();
        let st = self.lock();
        let (stats, past) = (&st.stats, &*st.stats.past);
        let last_connect = stats.last_connect.get();
        Snapshot {
            number: self.number(),
            client_id: st.client.client_id.as_deref().unwrap_or_default().to_owned(),
            now,
            is_up: self.is_connected(),
            first_connect: past.first_connect.or(last_connect),
            last_connect,
            last_disconnect: past.last_disconnect,
            attempts: stats.attempts.into(),
            connects: stats.connects.into(),
            disconnects: past.disconnects,
            rx_bytes: stats.rx_bytes,
            counts: st.session.counts(),
            ack_latency: st.session.ack_latency(),
            levels: st.session.levels(),
            ends: past.ends.clone(),
        }
    }
}
