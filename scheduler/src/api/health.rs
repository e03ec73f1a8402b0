//! Whether the service works, part by part.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::question::ask;
use super::{App, Component, Refused, Why};

/// `ok`, and every part that was looked at; or which parts fail.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let components = match ask(move || Ok(components(&app))).await {
        Ok(components) => components,
        Err(refused) => return refused.into_response(),
    };
    let failing: Vec<String> = components
        .iter()
        .filter_map(|part| Some(format!("{}: {}", part.name, part.state.as_ref().err()?)))
        .collect();
    if !failing.is_empty() {
        return Refused::new(Why::Unhealthy, failing.join("; ")).into_response();
    }
    let parts = components.iter().map(|part| (part.name.to_owned(), Value::from("ok")));
    let status = ("status".to_owned(), Value::from("ok"));
    Json(Map::from_iter([status].into_iter().chain(parts))).into_response()
}

fn components(app: &App) -> Vec<Component> {
    let service = &app.service;
    let journal = service.journal.check().map_err(|error| error.to_string());
    let engine = service.engine.wait("", Duration::ZERO).map(drop).map_err(|error| error.0);
    let mut components = vec![
        Component { name: "journal", state: journal },
        Component { name: "engine", state: engine },
    ];
    if let Some(doors) = &service.doors {
        for component in (doors.health)() {
            components.retain(|known| known.name != component.name || known.state.is_err());
            components.push(component);
        }
    }
    components
}
