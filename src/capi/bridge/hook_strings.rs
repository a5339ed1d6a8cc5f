//! The content of CONNECT, as a connect hook of Mongoose OS sees it.

use crate::client::ConnectParams;
use crate::config::Secret;

/// A C copy of a field of CONNECT. A NUL inside ends it: a hook sees only the part before.
fn c_string(bytes: &[u8]) -> Vec<u8> {
    let visible = bytes.split(|b| *b == 0).next().unwrap_or_default();
    // Without growing: a vector that grows leaves copies behind, and this may be a password.
    let mut text = Vec::with_capacity(visible.len() + 1);
    text.extend_from_slice(visible);
    text.push(0);
    text
}

/// What a connect hook is given, as C sees it. It lives until the attempt is over: a hook may keep the pointers until then.
pub(in crate::capi) struct HookStrings {
    pub(in crate::capi) client_id: Vec<u8>,
    pub(in crate::capi) user: Option<Vec<u8>>,
    pub(in crate::capi) password: Option<Secret<Vec<u8>>>,
    pub(in crate::capi) will: Option<(Vec<u8>, Vec<u8>)>,
}

impl HookStrings {
    pub(in crate::capi) fn of(params: &ConnectParams) -> HookStrings {
        HookStrings {
            client_id: c_string(params.client_id.as_bytes()),
            user: params.user.as_ref().map(|s| c_string(s.as_bytes())),
            password: params.password.as_ref().map(|password| Secret(c_string(password))),
            will: params.will.as_ref().map(|will| (c_string(will.topic.as_bytes()), c_string(&will.payload))),
        }
    }
}
