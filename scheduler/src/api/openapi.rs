//! The API described for programs: every address, what it takes, what it answers, each status.
//!
//! A test compares the document with a file in `scheduler/tests`, another holds real answers against
//! it. Read next: `openapi/paths.rs` for the addresses, `openapi/schemas.rs` for the forms.

mod insight;
mod paths;
mod schemas;

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use super::question::{Answer, Question};
use super::{App, Refused};

/// The scheme that a token opens.
const TOKEN: &str = "token";

pub(super) async fn document(State(_): State<Arc<App>>, query: RawQuery) -> Answer<OpenApi> {
    Question::read(query, &[])?;
    Ok::<_, Refused>(Json(openapi()))
}

/// The document.
fn openapi() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    let info = InfoBuilder::new()
        .title("fleetfit")
        .version("1")
        .description(Some("Hyperparameter and AutoML search: submit jobs, follow studies."))
        .license(Some(license))
        .build();
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas::all())
        .responses_from_iter(paths::refusals())
        .security_scheme(TOKEN, token)
        .build();
    // Where no token is set, none is asked for.
    let nothing = SecurityRequirement::default();
    let bearer = SecurityRequirement::new(TOKEN, Vec::<String>::new());
    OpenApiBuilder::new()
        .info(info)
        .paths(paths::all())
        .components(Some(components))
        .security(Some([nothing, bearer]))
        .build()
}
