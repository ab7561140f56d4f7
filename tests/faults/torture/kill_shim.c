/* Kills its process at a named stage of its work (preloaded): VED_KILL = "CALL WHEN NTH PART".
 * CALL: write, sync (fsync, fdatasync), rename, link. WHEN: before, after, or torn (half of a write is done).
 * NTH: at which such call, from 1, on a file whose path holds PART. Other calls pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char call_name[16], when[16], part[128];
static long nth;
static _Atomic long seen;

__attribute__((constructor)) static void read_wish(void) {
    const char *wish = getenv("VED_KILL");
    if (!wish || sscanf(wish, "%15s %15s %ld %127s", call_name, when, &nth, part) != 4) nth = 0;
}

/* Whether this is the call at which to end. */
static int is_due(const char *name, const char *path) {
    return nth > 0 && strcmp(name, call_name) == 0 && strstr(path, part) != NULL && ++seen == nth;
}

static int is_due_fd(const char *name, int fd) {
    char link_name[32], path[512];
    if (nth <= 0 || strcmp(name, call_name) != 0) return 0;
    snprintf(link_name, sizeof link_name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link_name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_due(name, path);
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(due, result, expression)      \
    int is_now = (due);                      \
    if (is_now && strcmp(when, "before") == 0) end(); \
    __typeof__(expression) result = (expression); \
    if (is_now) end();                       \
    return result

ssize_t write(int fd, const void *data, size_t size) {
    int is_now = is_due_fd("write", fd);
    if (is_now && strcmp(when, "before") == 0) end();
    ssize_t done = REAL(write)(fd, data, is_now && strcmp(when, "torn") == 0 ? size / 2 : size);
    if (is_now) end();
    return done;
}

static ssize_t write_at(ssize_t (*real)(int, const void *, size_t, off_t), int fd, const void *data, size_t size, off_t at) {
    int is_now = is_due_fd("write", fd);
    if (is_now && strcmp(when, "before") == 0) end();
    ssize_t done = real(fd, data, is_now && strcmp(when, "torn") == 0 ? size / 2 : size, at);
    if (is_now) end();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_at(REAL(pwrite), fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return write_at(REAL(pwrite64), fd, data, size, at); }
int fsync(int fd) { AROUND(is_due_fd("sync", fd), result, REAL(fsync)(fd)); }
int fdatasync(int fd) { AROUND(is_due_fd("sync", fd), result, REAL(fdatasync)(fd)); }
int rename(const char *from, const char *to) { AROUND(is_due("rename", to), result, REAL(rename)(from, to)); }
int link(const char *from, const char *to) { AROUND(is_due("link", to), result, REAL(link)(from, to)); }
