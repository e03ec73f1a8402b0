//! What trials tell, asked of a service elsewhere: what its own machine would say.

use super::fleet::{Deployment, Fleet};
use crate::harness::{Ran, panel};
use crate::insight::JOB;

#[test]
fn a_service_elsewhere_tells_the_same() {
    let fleet = Fleet::start(Deployment::InProcess);
    fleet.place.write("sales.csv", &panel(3, 40));
    let ran = fleet.submit("job.yaml", JOB);
    assert_eq!(ran["status"], "completed", "{ran}");
    for entity in [&[][..], &["--entity", "2"]] {
        let arguments = [&["insight", "tell", "--output", "json"][..], entity].concat();
        let mut command = fleet.place.command(&arguments);
        let nowhere = fleet.place.path("nowhere");
        command.env("FLEETFIT_HOME", nowhere).env("FLEETFIT_SERVER", &fleet.url);
        let there = Ran::of(command.output().expect("fleetfit starts")).ok().stdout;
        assert_eq!(there, fleet.place.fleetfit(&arguments).ok().stdout);
        assert!(there.contains("\"fanova\""), "{there}");
    }
}
