// A disk that is full for some files: loaded into a program with LD_PRELOAD, so that it needs neither privileges nor a mount.
//
// FULL_DISK_MATCH  files whose path contains this text
// FULL_DISK_BYTES  so many bytes may be written to them, then a write ends early and the next one fails, as on a real disk
// FULL_DISK_ROOM   when this file exists there is room again
// FULL_DISK_ERRNO  what the system says (28 ENOSPC, 122 EDQUOT, 5 EIO)
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_llong written;

// How many of `count` bytes may go to the file; -1 when none and errno is set.
static ssize_t allowed(int fd, size_t count) {
    const char *match = getenv("FULL_DISK_MATCH"), *bytes = getenv("FULL_DISK_BYTES"), *room = getenv("FULL_DISK_ROOM");
    if (!match || !bytes || (room && access(room, F_OK) == 0)) return (ssize_t)count;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return (ssize_t)count;
    path[length] = 0;
    if (!strstr(path, match)) return (ssize_t)count;
    long long left = atoll(bytes) - atomic_load(&written);
    if (left <= 0 && count > 0) {
        const char *number = getenv("FULL_DISK_ERRNO");
        errno = number ? atoi(number) : ENOSPC;
        return -1;
    }
    size_t now = count < (size_t)left ? count : (size_t)left;
    atomic_fetch_add(&written, (long long)now);
    return (ssize_t)now;
}

ssize_t write(int fd, const void *from, size_t count) {
    ssize_t now = allowed(fd, count);
    return now < 0 ? -1 : syscall(SYS_write, fd, from, (size_t)now);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off_t at) {
    ssize_t now = allowed(fd, count);
    return now < 0 ? -1 : syscall(SYS_pwrite64, fd, from, (size_t)now, at);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t at) { return pwrite64(fd, from, count, at); }
