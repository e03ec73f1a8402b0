//! `fleetfit importance`: which columns the models of a study owe their predictions to.

use std::collections::BTreeMap;
use std::path::Path;

use fleetfit_scheduler::query::ModelView;
use fleetfit_search_spaces::EntityKey;
use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_trial_runner::model::importance::{By, Importance};
use serde::Serialize;

use crate::cli::{ImportanceArgs, Output};
use crate::exit;
use crate::failure::Failure;
use crate::models::{Models, Wanted};
use crate::output::Printer;
use crate::show;
use crate::source::Source;
use crate::table::csv_cell;

/// How much one column matters to a model, or on average to all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    /// The entity; none for the mean over them, and in a study without partitions.
    entity: Option<EntityKey>,
    feature: String,
    share: f64,
    /// How the models tell; none where they do in several ways.
    by: Option<By>,
    /// Of how many models this is the mean.
    models: u32,
    /// To how many of them the column matters at all.
    used_by: u32,
}

/// The shares of all models that were asked.
#[derive(Debug, Default)]
struct Mean {
    /// What the shares of each column add up to, and of how many models.
    columns: BTreeMap<String, (f64, u32)>,
    by: Vec<By>,
    n_told: u32,
    n_silent: u32,
}

impl Mean {
    fn add(&mut self, importance: &Importance) {
        self.n_told += 1;
        if !importance.shares.is_empty() && !self.by.contains(&importance.by) {
            self.by.push(importance.by);
        }
        for (column, share) in &importance.shares {
            let (sum, n_models) = self.columns.entry(column.clone()).or_default();
            *sum += share;
            *n_models += 1;
        }
    }

    fn rows(self) -> Vec<Row> {
        let by = match self.by.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let models = self.n_told;
        let rows = self.columns.into_iter().map(|(feature, (sum, used_by))| {
            let share = sum / f64::from(models);
            Row { entity: None, feature, share, by, models, used_by }
        });
        let mut rows: Vec<Row> = rows.collect();
        // Columns of equal shares stay in the order of their names.
        rows.sort_by(|a, b| b.share.total_cmp(&a.share));
        rows
    }
}

/// Tells which columns matter: to one model, to each, or on average.
pub(crate) fn importance(
    home: &Path,
    args: &ImportanceArgs,
    printer: &Printer,
) -> Result<i32, Failure> {
    let winners = Source::ask(home, &args.server, |source| winners(source, args))?;
    let fitted = (0..).zip(&winners).filter_map(|(entity, (key, address))| {
        Some(Wanted { entity, key, address: address.as_ref()? })
    });
    let wanted: Vec<Wanted<'_>> = fitted.collect();
    let models = Models::open(home, &args.server, &args.study)?;
    let each = args.all || winners.len() == 1;
    let top = args.top.map_or(usize::MAX, |top| top as usize);
    let mut out = Out::new(printer, args.all);
    let mut mean = Mean::default();
    models.each(&wanted, |wanted, model| {
        let Some(importance) = model.importance() else {
            mean.n_silent += 1;
            return Ok(());
        };
        mean.add(&importance);
        match each {
            true => out.rows(&own_rows(wanted.key, importance, top)),
            false => Ok(()),
        }
    })?;
    let (n_told, n_silent) = (mean.n_told, mean.n_silent);
    if n_told == 0 {
        return Err(Failure::asked(
            format!("the models of {} do not tell which columns matter", args.study),
            "those of gradient_boosting, trees, forests and linear learners do",
        ));
    }
    if mean.columns.is_empty() {
        printer.note("no column matters: the models say the same for every row");
    }
    if !each {
        let mut rows = mean.rows();
        rows.truncate(top);
        out.rows(&rows)?;
    }
    out.finish()?;
    let without = winners.len() - wanted.len();
    for (n, what) in [(n_silent as usize, "a model that does not tell"), (without, "no model")] {
        if n > 0 {
            let entities = if n == 1 { "entity has" } else { "entities have" };
            printer.note(&format!("{} {entities} {what}", show::count(n as u64)));
        }
    }
    Ok(exit::DONE)
}

type Winner = (EntityKey, Option<ModelAddress>);

/// Whose models are asked, and where they lie. At least one has one.
fn winners(source: &Source, args: &ImportanceArgs) -> Result<Vec<Winner>, Failure> {
    let mut winners: Vec<Winner> = Vec::new();
    let mut why = None;
    let entity = args.entity.as_deref();
    source.each_model(&args.study, entity, |ModelView { entity, model, model_reason }| {
        winners.push((entity.unwrap_or_default(), model));
        why = why.take().or(model_reason);
    })?;
    if winners.iter().all(|(_, model)| model.is_none()) {
        let whose = entity.map(|key| format!(" of {key}")).unwrap_or_default();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return Err(Failure::asked(
            format!("{} has no model{whose}{why}", args.study),
            "a study with a built-in learner keeps models when it ends; fleetfit status says more",
        ));
    }
    Ok(winners)
}

fn own_rows(key: &EntityKey, importance: Importance, top: usize) -> Vec<Row> {
    let entity = (!key.0.is_empty()).then_some(key);
    let shares = importance.shares.into_iter().take(top);
    let rows = shares.map(|(feature, share)| Row {
        entity: entity.cloned(),
        feature,
        share,
        by: Some(importance.by),
        models: 1,
        used_by: 1,
    });
    rows.collect()
}

/// Where rows go: lines at once, a table at the end.
struct Out<'a> {
    printer: &'a Printer,
    /// Whether a table has a column for the entity.
    names_entities: bool,
    has_head: bool,
    kept: Vec<Row>,
}

impl<'a> Out<'a> {
    fn new(printer: &'a Printer, names_entities: bool) -> Self {
        Self { printer, names_entities, has_head: false, kept: Vec::new() }
    }

    fn rows(&mut self, rows: &[Row]) -> Result<(), Failure> {
        match self.printer.output {
            Output::Json => rows.iter().try_for_each(|row| self.printer.json(row)),
            Output::Csv => {
                if !std::mem::replace(&mut self.has_head, true) {
                    self.printer.line("entity,feature,share,by,models,used_by")?;
                }
                rows.iter().try_for_each(|row| self.printer.line(&csv(row)))
            }
            Output::Text | Output::Parquet => {
                self.kept.extend_from_slice(rows);
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self.kept.is_empty() {
            true => Ok(()),
            false => self.printer.line(&self.table()),
        }
    }

    fn table(&self) -> String {
        let is_mean = self.kept.iter().any(|row| row.models > 1);
        let mut head = vec!["feature", ">share"];
        if self.names_entities {
            head.insert(0, "entity");
        }
        head.push(if is_mean { ">used by" } else { "by" });
        let rows = self.kept.iter().map(|row| {
            let mut cells = vec![row.feature.clone(), format!("{:.1} %", 100.0 * row.share)];
            if self.names_entities {
                cells.insert(0, row.entity.as_ref().map_or("–".into(), EntityKey::to_string));
            }
            cells.push(match is_mean {
                true => {
                    let (used_by, models) = (u64::from(row.used_by), u64::from(row.models));
                    format!("{} of {}", show::count(used_by), show::count(models))
                }
                false => row.by.as_ref().map(show::word).unwrap_or_default(),
            });
            cells
        });
        show::table(&head, &rows.collect::<Vec<_>>())
    }
}

fn csv(row: &Row) -> String {
    let entity = row.entity.as_ref().map(EntityKey::to_string).unwrap_or_default();
    let by = row.by.as_ref().map(show::word).unwrap_or_default();
    let (entity, feature) = (csv_cell(&entity), csv_cell(&row.feature));
    format!("{entity},{feature},{:?},{by},{},{}", row.share, row.models, row.used_by)
}
