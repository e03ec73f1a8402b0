//! A job of `type: automl`.

use super::{Study, header};
use crate::fields::Fields;
use crate::findings::Findings;

pub(super) fn read(mut root: Fields<'_>, file: &str, findings: &mut Findings) -> Option<Study> {
    let _ = header::read(&mut root, file, findings);
    None
}
