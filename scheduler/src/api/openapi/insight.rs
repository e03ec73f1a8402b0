//! The form of what a study's trials tell.

use super::schemas::{
    Form, count, list, list_of, named, number, number_or_nothing, object, or_nothing, scalar, text,
    trial, words,
};

/// Everything.
pub(super) fn insight() -> Form {
    let goal = words(&["minimize", "maximize"]);
    let metric = object("What is measured.", vec![("name", text()), ("goal", goal)]);
    object(
        "What the trials of a study tell of its parameters and of the search.",
        vec![
            ("study", text()),
            ("metric", metric),
            ("entity", or_nothing(named("EntityKey"))),
            ("scale", words(&["metric", "relative"])),
            ("configurations", configurations()),
            ("parameters", list(parameter())),
            ("interactions", list(interaction())),
            ("dependence", list(dependence())),
            ("plane", or_nothing(plane())),
            ("convergence", convergence()),
            ("duplicates", duplicates()),
            ("notices", list(text())),
        ],
    )
}

fn configurations() -> Form {
    let fields = ["used", "stopped", "failed", "open", "entities", "in_forest"];
    let fields = fields.map(|name| (name, count()));
    object("Which configurations it is from.", fields.to_vec())
}

fn when() -> Form {
    let fields = vec![("parameter", text()), ("is", scalar())];
    object("Under which choice a parameter exists.", fields)
}

fn parameter() -> Form {
    object(
        "How much a parameter matters.",
        vec![
            ("parameter", text()),
            ("when?", when()),
            ("fanova", number_or_nothing()),
            ("fanova_deviation", number_or_nothing()),
            ("ped_anova", number_or_nothing()),
        ],
    )
}

fn interaction() -> Form {
    object(
        "How much two parameters do together that neither does alone.",
        vec![
            ("parameters", list_of(text(), 2, 2)),
            ("fanova", number()),
            ("fanova_deviation", number()),
        ],
    )
}

fn dependence() -> Form {
    let fields = vec![("at", scalar()), ("value", number()), ("deviation", number())];
    let point = object("What is expected at one value.", fields);
    object(
        "What is expected along one parameter.",
        vec![("parameter", text()), ("when?", when()), ("points", list(point))],
    )
}

fn plane() -> Form {
    object(
        "What is expected along two parameters: a row for each value of the first.",
        vec![
            ("parameters", list_of(text(), 2, 2)),
            ("at", list_of(list(scalar()), 2, 2)),
            ("values", list(list(number()))),
            ("deviations", list(list(number()))),
        ],
    )
}

fn convergence() -> Form {
    let improvement = object(
        "A configuration that was better than all before.",
        vec![
            ("nth", count()),
            ("trial", trial()),
            ("value", number()),
            ("elapsed_s", number_or_nothing()),
        ],
    );
    object(
        "How the search came to its best.",
        vec![
            ("ended", count()),
            ("improvements", list(improvement)),
            ("since_last", count()),
            ("area", number_or_nothing()),
        ],
    )
}

fn duplicates() -> Form {
    object(
        "How often the search proposed what it had proposed before.",
        vec![
            ("proposed", count()),
            ("repeated", count()),
            ("space", number_or_nothing()),
            ("avoided", number_or_nothing()),
        ],
    )
}
