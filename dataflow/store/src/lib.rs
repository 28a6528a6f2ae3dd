//! the state directory: journal, snapshots, lease file.
