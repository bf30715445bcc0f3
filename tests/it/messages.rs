//! Every template on every surface, as people read it: a change of words shows here.

use std::process::Command;

use crate::support::repo;

#[test]
fn previews_of_the_sample() {
    let output = Command::new(env!("CARGO_BIN_EXE_herald")).args(["preview"]).current_dir(repo()).output().expect("herald starts");
    assert!(output.status.success(), "{output:?}");
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("previews", String::from_utf8_lossy(&output.stdout));
    });
}
