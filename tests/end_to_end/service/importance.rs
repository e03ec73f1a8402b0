//! Which columns matter to the models of a service elsewhere: what its own machine would say.

use super::fleet::{Deployment, Fleet};
use crate::harness::Ran;
use crate::importance::{STORES, job, sales};

#[test]
fn a_service_elsewhere_says_what_matters() {
    let fleet = Fleet::start(Deployment::InProcess);
    fleet.place.write("sales.csv", &sales());
    let job = job("why", STORES, "gradient_boosting", "{n_estimators: [20]}");
    let ran = fleet.submit("job.yaml", &job);
    assert_eq!(ran["status"], "completed", "{ran}");
    let arguments = ["importance", "why", "--all", "--output", "json"];
    let mut command = fleet.place.command(&arguments);
    command.env("FLEETFIT_HOME", fleet.place.path("nowhere")).env("FLEETFIT_SERVER", &fleet.url);
    let there = Ran::of(command.output().expect("fleetfit starts")).ok().stdout;
    let here = fleet.place.fleetfit(&arguments).ok().stdout;
    assert!(here.lines().count() >= 3, "{here}");
    assert_eq!(there, here);
}
