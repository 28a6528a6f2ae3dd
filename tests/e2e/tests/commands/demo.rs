//! `weir demo`: from any folder, again and again, and never at the cost of other files.

use weir_e2e::{Stand, printed, run};

#[test]
fn it_runs_anywhere_twice_and_empties_no_folder_but_its_own() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let demo = |dir: &str| {
        let mut command = stand.command(weir_e2e::weir());
        command.args(["demo", "--pages", "2", "--quiet", "--dir", dir]);
        command
    };
    for _ in 0..2 {
        let (said, _) = printed(&run(&mut demo("made"), 0)?);
        assert!(said.contains("listings: 60\n"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(stand.path("made/items.jsonl"))?.lines().count(), 60);
    std::fs::create_dir(stand.path("mine"))?;
    std::fs::write(stand.path("mine/items.db"), "a year of work")?;
    let (_, told) = printed(&run(&mut demo("mine"), 2)?);
    assert!(told.contains("mine holds files") && told.contains("--dir"), "{told}");
    assert_eq!(std::fs::read_to_string(stand.path("mine/items.db"))?, "a year of work");
    Ok(())
}
