//! What must hold for the templates and the price table in `infra/`, whatever else changes in them.

mod invariants;
mod prices;
mod template;

use std::path::Path;
use std::process::Command;

#[test]
fn a_parameter_that_no_template_has_is_told_before_anything_is_deployed() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/deploy");
    for (option, pair, told) in [
        ("--stage", "Sinks", "--stage 'Sinks': KEY=VALUE is expected"),
        ("--stage", "Sink=redis://h", "infra/stage.yaml has no parameter Sink; it has Fleet "),
        ("--fleet", "Sinks=x", "infra/fleet.yaml has no parameter Sinks; it has CodeBucket "),
    ] {
        let output = Command::new(&deploy).args([option, pair]).env_remove("AWS_ENDPOINT_URL").output();
        let output = output.expect("infra/deploy runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(told), "{option} {pair}: {said}");
    }
}
