//! Where the file lies: write-ahead logging needs shared memory, which a network file system does not give.

use std::path::Path;

/// File systems on disks of this machine, on which write-ahead logging is safe.
const LOCAL: [&str; 15] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "ramfs", "overlay", "jfs", "reiserfs", "bcachefs",
    "ntfs3", "vfat",
];

/// True when the folder is known to be on a local disk. Unknown is treated as a network.
pub(crate) fn is_local(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    std::fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|mounts| kind_of(&mounts, &folder).is_some_and(|kind| LOCAL.contains(&kind)))
}

/// The file system of the longest mount point above the folder, by the kernel's table (proc_pid_mountinfo(5)).
fn kind_of<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
        let kind = right.split(' ').next()?;
        // A later mount on the same point hides the earlier.
        if folder.starts_with(&point) && best.is_none_or(|(len, _)| point.len() >= len) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_decides() {
        let mounts = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:40 / /mnt/my\\040share rw - nfs4 server:/x rw\n\
                      31 22 0:41 / /data rw - overlay overlay rw\n";
        assert_eq!(kind_of(mounts, Path::new("/home/me")), Some("ext4"));
        assert_eq!(kind_of(mounts, Path::new("/mnt/my share/a")), Some("nfs4"));
        assert_eq!(kind_of(mounts, Path::new("/database")), Some("ext4"));
        assert!(!LOCAL.contains(&"nfs4"));
    }
}
