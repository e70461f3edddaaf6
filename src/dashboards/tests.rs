//! What all files have to be.

use std::path::Path;

use super::*;

/// `UPDATE_GOLDEN=1` writes them.
#[test]
fn what_is_committed_is_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    for file in all() {
        let path = folder.join(&file.path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.contents).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == file.contents, "dashboards/{} is old; UPDATE_GOLDEN=1 writes it anew", file.path);
    }
}
