/* SPDX-License-Identifier: MIT */
// Small static benchmark and traffic program used in dom0, in domUs and in the
// native guest alike.  Times are CLOCK_MONOTONIC; under QEMU -icount shift=0
// one nanosecond of it is one executed instruction (plus idle warps).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static uint64_t tsc(void)
{
    uint32_t a, d;
    asm volatile("lfence; rdtsc" : "=a"(a), "=d"(d) :: "memory");
    return ((uint64_t)d << 32) | a;
}
static void die(const char *s) { perror(s); exit(1); }
static void rep(const char *name, uint64_t ns, uint64_t n)
{
    printf("R %-14s n=%llu ns_per_op=%.1f\n", name, (unsigned long long)n, (double)ns / n);
    fflush(stdout);
}
// Has dom0 note the host's counters (the word `marks` on its command line); nothing without Xen.
static void mark(const char *when, const char *name)
{
    static int fd = -2;
    struct { uint32_t type, req, tx, len; char body[96]; } m = { 11 }; // XS_WRITE
    if (fd == -2) fd = open("/dev/xen/xenbus", O_RDWR);
    if (fd < 0) return;
    m.len = 10 + snprintf(m.body + 10, sizeof m.body - 10, "%s %s", when, name);
    memcpy(m.body, "data/mark", 10);
    if (write(fd, &m, 16 + m.len) < 0 || read(fd, &m, 16) != 16 || (m.len && read(fd, m.body, m.len) < 0)) die("mark");
    usleep(200000); // until that is done
}
static void onsig(int s) { (void)s; }

// Runs f(n) once to warm up with n/10 and once timed.
static const char *only;     // of the suite, just this one
#define WANT(name) (!only || !strcmp(only, name))
#define TIMED(name, n, body) do { if (!WANT(name)) break; uint64_t N_ = (n), t0_; \
    for (uint64_t i = 0; i < N_ / 10 + 1; i++) { body; } \
    mark("begin", name); \
    t0_ = now(); for (uint64_t i = 0; i < N_; i++) { body; } \
    t0_ = now() - t0_; mark("end", name); rep(name, t0_, N_); } while (0)

static void spawn(char *const argv[])
{
    pid_t p = fork();
    if (p == 0) { execv(argv[0], argv); _exit(127); }
    int st; waitpid(p, &st, 0);
    if (!WIFEXITED(st) || WEXITSTATUS(st) == 127) { fprintf(stderr, "exec %s failed\n", argv[0]); exit(1); }
}

static void cpu_suite(char *self, unsigned scale)
{
    char *noop[] = { self, "noop", 0 };
    char *shn[] = { "/bin/sh", "-c", "/bench noop", 0 };
    (void)self;
    mark("begin", "nothing"); mark("end", "nothing");
    TIMED("null_syscall", 20000 * scale, syscall(SYS_getppid));
    { int z = open("/dev/zero", O_RDONLY); char c; if (z < 0) die("/dev/zero");
      TIMED("read1_zero", 10000 * scale, if (read(z, &c, 1) != 1) die("read"));
      close(z); }
    { struct stat st; TIMED("stat", 5000 * scale, stat("/bench", &st)); }
    { struct timespec t; TIMED("clock_gettime", 5000 * scale, clock_gettime(CLOCK_MONOTONIC, &t)); }
    { volatile uint64_t s; TIMED("rdtsc", 5000 * scale, s = tsc()); (void)s; }
    { struct sigaction sa = { .sa_handler = onsig }; sigaction(SIGUSR1, &sa, 0); pid_t me = getpid();
      TIMED("signal", 5000 * scale, kill(me, SIGUSR1)); }
    TIMED("fork_exit", 100 * scale, pid_t p = fork(); if (!p) _exit(0); int st; waitpid(p, &st, 0));
    TIMED("fork_exec", 60 * scale, spawn(noop));
    TIMED("fork_sh", 20 * scale, spawn(shn));
    { // pipe round trip between two processes: two context switches
      int a[2], b[2]; char c = 0; if (pipe(a) || pipe(b)) die("pipe");
      pid_t p = fork();
      if (!p) { close(a[1]); close(b[0]); while (read(a[0], &c, 1) == 1) if (write(b[1], &c, 1) != 1) break; _exit(0); }
      close(a[0]); close(b[1]);
      TIMED("pipe_rtt", 2000 * scale, if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) die("pipe"));
      close(a[1]); waitpid(p, 0, 0); close(b[0]); }
    { // the same calls without switches: what a switch costs is half of the difference
      int a[2]; char c = 0; if (pipe(a)) die("pipe");
      TIMED("pipe_alone", 2000 * scale, if (write(a[1], &c, 1) != 1 || read(a[0], &c, 1) != 1) die("pipe"));
      close(a[0]); close(a[1]); }
    if (WANT("page_touch")) { // anonymous page faults: per 4 KiB page, map + touch + unmap
      size_t sz = 8 << 20; uint64_t t0 = 0; unsigned R = scale / 2 + 1;
      for (unsigned r = 0; r <= R; r++) {
          if (r == 1) { mark("begin", "page_touch"); t0 = now(); }
          char *m = mmap(0, sz, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          if (m == MAP_FAILED) die("mmap");
          madvise(m, sz, MADV_NOHUGEPAGE);
          for (size_t i = 0; i < sz; i += 4096) m[i] = 1;
          munmap(m, sz);
      }
      t0 = now() - t0; mark("end", "page_touch"); rep("page_touch", t0, (uint64_t)R * (sz / 4096)); }
    { // write-protect fault + mprotect pair
      char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); m[0] = 1;
      TIMED("mprotect_pair", 2000 * scale, mprotect(m, 4096, PROT_READ); mprotect(m, 4096, PROT_READ | PROT_WRITE); m[0]++); }
    { TIMED("mmap_64k", 500 * scale, char *m = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        m[0] = 1; munmap(m, 65536)); }
    if (WANT("int_loop")) { uint64_t x = 88172645463325252ull, n = 500000ull * scale, t0 = now();
      for (uint64_t i = 0; i < n; i++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; asm volatile("" : "+r"(x)); }
      rep("int_loop", now() - t0, n); }
    if (WANT("memcpy_1MiB")) { size_t sz = 1 << 20; char *p = malloc(sz), *q = malloc(sz); memset(p, 1, sz); memset(q, 2, sz);
      uint64_t t0 = now(); for (unsigned i = 0; i < 4 * scale; i++) { memcpy(p, q, sz); asm volatile("" ::: "memory"); }
      rep("memcpy_1MiB", now() - t0, 4 * scale); }
}

// ---- network
static int lsock(int type, int port)
{
    int s = socket(AF_INET, type, 0), one = 1; struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&a, sizeof a)) die("bind");
    if (type == SOCK_STREAM && listen(s, 5)) die("listen");
    return s;
}
static int csock(int type, const char *ip, int port)
{
    int s = socket(AF_INET, type, 0); struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, ip, &a.sin_addr);
    for (int i = 0; ; i++) { if (!connect(s, (void *)&a, sizeof a)) break; if (i > 50) die("connect"); usleep(100000); close(s); s = socket(AF_INET, type, 0); }
    return s;
}
static char buf[256 * 1024];
static void tcpsink(int port)   // loop: drain, then answer with byte count and ns
{
    int l = lsock(SOCK_STREAM, port);
    for (;;) {
        int c = accept(l, 0, 0); uint64_t tot = 0, t0 = 0, nr = 0; ssize_t r;
        while ((r = read(c, buf, sizeof buf)) > 0) { if (!tot) t0 = now(); tot += r; nr++; }
        char o[128]; int n = snprintf(o, sizeof o, "rx_bytes=%llu rx_ns=%llu reads=%llu", (unsigned long long)tot, (unsigned long long)(now() - t0), (unsigned long long)nr);
        if (write(c, o, n) < 0) {} close(c);
    }
}
static void tcpsrc(const char *ip, int port, int mib, int bs)
{
    int s = csock(SOCK_STREAM, ip, port); uint64_t tot = (uint64_t)mib << 20, left = tot, t0 = now();
    memset(buf, 'x', sizeof buf);
    while (left) { ssize_t w = write(s, buf, left < (uint64_t)bs ? left : (uint64_t)bs); if (w < 0) die("write"); left -= w; }
    shutdown(s, SHUT_WR);
    char o[256] = ""; ssize_t r = read(s, o, sizeof o - 1); (void)r; uint64_t dt = now() - t0;
    struct tcp_info ti; socklen_t tl = sizeof ti; memset(&ti, 0, sizeof ti); getsockopt(s, IPPROTO_TCP, TCP_INFO, &ti, &tl);
    printf("R tcp_bulk MiB=%d buf=%d ns=%llu Mbit_s=%.1f ns_per_KiB=%.1f mss=%u segs_out=%u retrans=%u acks=%u cwnd=%u | %s\n", mib, bs, (unsigned long long)dt,
           tot * 8e3 / dt, dt * 1024.0 / tot, ti.tcpi_snd_mss, ti.tcpi_segs_out, ti.tcpi_total_retrans, ti.tcpi_segs_in, ti.tcpi_snd_cwnd, o);
}
static void udpsink(int port)   // counts; a datagram starting with 'E' ends a run and is answered with the tally
{
    int s = lsock(SOCK_DGRAM, port), rb = 4 << 20; struct sockaddr_in f; uint64_t n = 0, t0 = 0, t1 = 0;
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &rb, sizeof rb);
    for (;;) {
        socklen_t fl = sizeof f; ssize_t r = recvfrom(s, buf, sizeof buf, 0, (void *)&f, &fl);
        if (r < 0) continue;
        if (buf[0] == 'E') {
            char o[128]; int k = snprintf(o, sizeof o, "rx=%llu rx_ns=%llu", (unsigned long long)n, (unsigned long long)(t1 - t0));
            sendto(s, o, k, 0, (void *)&f, fl); n = t0 = 0; continue;
        }
        if (!n) t0 = now();
        n++; if ((n & 63) == 0) t1 = now();
    }
}
static void udpsrc(const char *ip, int port, int size, uint64_t count, int pace_us)
{
    int s = csock(SOCK_DGRAM, ip, port), sb = 4 << 20; memset(buf, 'd', size); uint64_t t0 = now(), err = 0;
    setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &sb, sizeof sb);
    for (uint64_t i = 0; i < count; i++) {
        if (send(s, buf, size, 0) < 0) { err++; if (errno == ENOBUFS || errno == EAGAIN) usleep(100); }
        if (pace_us && (i & 31) == 31) usleep(pace_us);
    }
    uint64_t dt = now() - t0; usleep(300000);
    struct timeval tv = { 1, 0 }; setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    char o[256] = "no-reply"; for (int i = 0; i < 5; i++) { send(s, "E", 1, 0); ssize_t r = recv(s, o, sizeof o - 1, 0); if (r > 0) { o[r] = 0; break; } }
    printf("R udp size=%d sent=%llu err=%llu tx_ns=%llu tx_ns_per_pkt=%.1f tx_pps=%.0f | %s\n", size, (unsigned long long)count, (unsigned long long)err,
           (unsigned long long)dt, (double)dt / count, count * 1e9 / dt, o);
}
static void echo_tcp(int port)
{
    int l = lsock(SOCK_STREAM, port), one = 1;
    for (;;) { int c = accept(l, 0, 0); setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); ssize_t r; while ((r = read(c, buf, 4096)) > 0) if (write(c, buf, r) < 0) break; close(c); }
}
static void echo_udp(int port)
{
    int s = lsock(SOCK_DGRAM, port); struct sockaddr_in f;
    for (;;) { socklen_t fl = sizeof f; ssize_t r = recvfrom(s, buf, 4096, 0, (void *)&f, &fl); if (r > 0) sendto(s, buf, r, 0, (void *)&f, fl); }
}
static void rr(int type, const char *ip, int port, int n)
{
    int s = csock(type, ip, port), one = 1; if (type == SOCK_STREAM) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    char c[64] = "p";
    for (int i = 0; i < n / 10 + 5; i++) { if (send(s, c, 1, 0) != 1 || recv(s, c, 64, 0) < 1) die("rr"); }
    uint64_t t0 = now(); for (int i = 0; i < n; i++) { if (send(s, c, 1, 0) != 1 || recv(s, c, 64, 0) < 1) die("rr"); }
    rep(type == SOCK_STREAM ? "tcp_rr" : "udp_rr", now() - t0, n);
}
// remote command server: one line in, output of sh -c out
static void execd(int port)
{
    int l = lsock(SOCK_STREAM, port); signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int c = accept(l, 0, 0); if (c < 0) continue;
        if (!fork()) {
            signal(SIGCHLD, SIG_DFL);
            char cmd[4096]; size_t n = 0; while (n < sizeof cmd - 1 && read(c, cmd + n, 1) == 1 && cmd[n] != '\n') n++;
            cmd[n] = 0; dup2(c, 1); dup2(c, 2); int z = open("/dev/null", O_RDONLY); dup2(z, 0); close(c);
            execl("/bin/sh", "sh", "-c", cmd, (char *)0); _exit(127);
        }
        close(c);
    }
}
static void rexec(const char *ip, int port, const char *cmd)
{
    int s = csock(SOCK_STREAM, ip, port); ssize_t r; dprintf(s, "%s\n", cmd);
    while ((r = read(s, buf, sizeof buf)) > 0) if (write(1, buf, r) < 0) break;
}
static int eth(const char *dev, uint32_t get, uint32_t set, int val)
{
    struct ifreq ifr; struct ethtool_value v = { get, 0 }; int s = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&ifr, 0, sizeof ifr); strncpy(ifr.ifr_name, dev, IFNAMSIZ - 1); ifr.ifr_data = (void *)&v;
    if (val >= 0) { v.cmd = set; v.data = val; if (ioctl(s, SIOCETHTOOL, &ifr)) perror("ethtool set"); v.cmd = get; }
    if (ioctl(s, SIOCETHTOOL, &ifr)) return -1;
    return v.data;
}
static void ethopt(const char *dev, int val)   // val -1: show only; else set sg/tso/gso/gro
{
    int tso = eth(dev, ETHTOOL_GTSO, ETHTOOL_STSO, val), gso = eth(dev, ETHTOOL_GGSO, ETHTOOL_SGSO, val), gro = eth(dev, ETHTOOL_GGRO, ETHTOOL_SGRO, val);
    int sg = eth(dev, ETHTOOL_GSG, ETHTOOL_SSG, -1), cs = eth(dev, ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM, -1);
    printf("eth %s tso=%d gso=%d gro=%d sg=%d txcsum=%d\n", dev, tso, gso, gro, sg, cs);
}
// ---- block: O_DIRECT reads/writes of bs bytes
static void blk(const char *dev, const char *mode, int bs, int n, const char *rw)
{
    int wr = rw && *rw == 'w', f = open(dev, (wr ? O_RDWR : O_RDONLY) | O_DIRECT); if (f < 0) die(dev);
    void *p; if (posix_memalign(&p, 4096, bs)) die("memalign"); off_t size = lseek(f, 0, SEEK_END), slots = size / bs;
    uint64_t x = 12345, t0 = 0; int warm = n / 20 + 1; off_t pos = 0;
    for (int i = -warm; i < n; i++) {
        if (i == 0) t0 = now();
        if (*mode == 'r') { x ^= x << 13; x ^= x >> 7; x ^= x << 17; pos = x % slots; } else pos = (pos + 1) % slots;
        if ((wr ? pwrite(f, p, bs, pos * bs) : pread(f, p, bs, pos * bs)) != bs) die("pread");
    }
    uint64_t dt = now() - t0;
    printf("R blk_%s_%s bs=%d n=%d ns_per_op=%.1f MiB_s=%.1f\n", wr ? "write" : "read", *mode == 'r' ? "rand" : "seq", bs, n, (double)dt / n, (double)bs * n / 1048576 / (dt / 1e9));
}
// the same with `depth` requests under way (Linux aio, by raw system calls: the program is static)
static void blkq(const char *dev, const char *mode, int bs, int n, const char *rw, int depth)
{
    int wr = *rw == 'w', f = open(dev, (wr ? O_RDWR : O_RDONLY) | O_DIRECT); if (f < 0) die(dev);
    aio_context_t ctx = 0; if (syscall(SYS_io_setup, depth, &ctx)) die("io_setup");
    struct iocb cb[64], *p[64]; struct io_event ev[64]; char *m; off_t size = lseek(f, 0, SEEK_END), slots = size / bs, pos = 0;
    if (posix_memalign((void *)&m, 4096, (size_t)bs * depth)) die("memalign");
    uint64_t x = 12345, t0 = 0; int warm = n / 20 + depth, sent = -warm, done = -warm, k = 0;
    for (int i = 0; i < depth; i++) p[k++] = &cb[i];
    while (done < n) {
        for (int i = 0; i < k; i++) {
            if (*mode == 'r') { x ^= x << 13; x ^= x >> 7; x ^= x << 17; pos = x % slots; } else pos = (pos + 1) % slots;
            *p[i] = (struct iocb){ .aio_fildes = f, .aio_lio_opcode = wr ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                .aio_buf = (uint64_t)(m + (p[i] - cb) * bs), .aio_nbytes = bs, .aio_offset = pos * bs, .aio_data = p[i] - cb };
        }
        if (k && syscall(SYS_io_submit, ctx, k, p) != k) die("io_submit");
        sent += k; k = 0;
        int g = syscall(SYS_io_getevents, ctx, 1, depth, ev, 0); if (g < 1) die("io_getevents");
        for (int i = 0; i < g; i++) { if ((int)ev[i].res != bs) { errno = -ev[i].res; die("aio"); }
            if (done++ == 0) t0 = now(); if (sent + k < n) p[k++] = &cb[ev[i].data]; }
    }
    uint64_t dt = now() - t0; printf("R blkq_%s bs=%d depth=%d n=%d ns_per_op=%.1f\n", wr ? "write" : "read", bs, depth, n, (double)dt / n);
}
static void blkbuf(const char *dev, int mib)   // buffered sequential read through the page cache
{
    int f = open(dev, O_RDONLY); if (f < 0) die(dev); uint64_t t0 = now(), tot = 0; ssize_t r;
    while (tot < (uint64_t)mib << 20 && (r = read(f, buf, 131072)) > 0) tot += r;
    uint64_t dt = now() - t0; printf("R blk_buffered_seq MiB=%llu ns_per_4KiB=%.1f MiB_s=%.1f\n", (unsigned long long)(tot >> 20), dt * 4096.0 / tot, tot / 1048576.0 / (dt / 1e9));
}
// pvclock ticker: prints the largest gap between two successive clock reads
static void gap(int secs, int us)
{
    uint64_t t = now(), end = t + secs * 1000000000ull, mx = 0; struct timespec w0, w1; clock_gettime(CLOCK_REALTIME, &w0);
    while (t < end) { usleep(us); uint64_t n = now(); if (n - t > mx) { mx = n - t; printf("gap_ns %llu at tsc %llu\n", (unsigned long long)mx, (unsigned long long)tsc()); fflush(stdout); } t = n; }
    clock_gettime(CLOCK_REALTIME, &w1); printf("R gap max_ns=%llu\n", (unsigned long long)mx);
}

int main(int c, char **v)
{
    const char *m = c > 1 ? v[1] : "";
#define A(i) (c > (i) ? atoi(v[i]) : 0)
    if (!strcmp(m, "noop")) return 0;
    if (!strcmp(m, "tsc")) { printf("TSC %s %llu\n", c > 2 ? v[2] : "", (unsigned long long)tsc()); return 0; }
    if (!strcmp(m, "now")) { printf("%llu\n", (unsigned long long)now()); return 0; }
    if (!strcmp(m, "cpu")) { only = c > 3 ? v[3] : 0; cpu_suite(v[0], c > 2 ? A(2) : 10); return 0; }
    if (!strcmp(m, "mark")) { mark(v[2], v[3]); return 0; }
    if (!strcmp(m, "time")) { mark("begin", v[2]); uint64_t t0 = now(); spawn(v + 3); t0 = now() - t0; mark("end", v[2]); rep(v[2], t0, 1); return 0; }
    if (!strcmp(m, "tcpsink")) tcpsink(A(2));
    if (!strcmp(m, "tcpsrc")) { tcpsrc(v[2], A(3), A(4), c > 5 ? A(5) : 65536); return 0; }
    if (!strcmp(m, "udpsink")) udpsink(A(2));
    if (!strcmp(m, "udpsrc")) { udpsrc(v[2], A(3), A(4), A(5), A(6)); return 0; }
    if (!strcmp(m, "echotcp")) echo_tcp(A(2));
    if (!strcmp(m, "echoudp")) echo_udp(A(2));
    if (!strcmp(m, "tcprr")) { rr(SOCK_STREAM, v[2], A(3), A(4)); return 0; }
    if (!strcmp(m, "udprr")) { rr(SOCK_DGRAM, v[2], A(3), A(4)); return 0; }
    if (!strcmp(m, "execd")) execd(A(2));
    if (!strcmp(m, "rexec")) { rexec(v[2], A(3), v[4]); return 0; }
    if (!strcmp(m, "eth")) { ethopt(v[2], c > 3 ? A(3) : -1); return 0; }
    if (!strcmp(m, "blk")) { blk(v[2], v[3], A(4), A(5), c > 6 ? v[6] : 0); return 0; }
    if (!strcmp(m, "blkq")) { blkq(v[2], v[3], A(4), A(5), v[6], A(7)); return 0; }
    if (!strcmp(m, "blkbuf")) { blkbuf(v[2], A(3)); return 0; }
    if (!strcmp(m, "gap")) { gap(A(2), A(3)); return 0; }
    fprintf(stderr, "bench: unknown mode %s\n", m); return 2;
}
