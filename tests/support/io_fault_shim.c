/* Preloaded into the server: makes one call fail with EIO.
 *
 * While the file named by IO_FAULT_FLAG is there, the next call of the kind that it names ("sync" or
 * "write") on a file whose name ends as it says ("sync -wal") fails, and the flag is removed. With a
 * "!" behind ("sync -wal !") it stays, and every such call fails; with "exit", the process ends in that
 * call with a code that means nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *kind, int fd) {
    const char *flag = getenv("IO_FAULT_FLAG");
    FILE *file = flag ? fopen(flag, "r") : NULL;
    char wanted[16] = "", end[32] = "", stays[8] = "", link[64], path[4096];
    if (!file) return 0;
    int words = fscanf(file, "%15s %31s %7s", wanted, end, stays);
    fclose(file);
    if (words < 2 || strcmp(wanted, kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t tail = strlen(end);
    if (length < (ssize_t)tail) return 0;
    path[length] = 0;
    if (strcmp(path + length - tail, end)) return 0;
    if (words < 3 || !strcmp(stays, "exit")) unlink(flag);
    if (!strcmp(stays, "exit")) _exit(101);
    errno = EIO;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = dlsym(RTLD_NEXT, #name)

int fsync(int fd) {
    REAL(fsync);
    return fails("sync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return fails("sync", fd) ? -1 : real(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    REAL(pwrite);
    return fails("write", fd) ? -1 : real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    REAL(pwrite64);
    return fails("write", fd) ? -1 : real(fd, bytes, count, at);
}
