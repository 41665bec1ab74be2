/* SPDX-License-Identifier: MIT */
/*
 * test-stress.c - runs in a guest: what leans on the paravirtual MMU and on entry and exit, each
 * with its results checked. fork, exec, copy on write, mmap, mprotect with faults, signals,
 * pipes, futexes between threads, FPU and AVX state across switches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(c) do { if (!(c)) { printf("stress: %s:%d: %s (errno %d)\n", __func__, __LINE__, #c, errno); \
                      exit(1); } } while (0)

static void wait_ok(pid_t p)
{
    int st;

    CHECK(waitpid(p, &st, 0) == p);
    CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 0);
}

/* Children see the memory as it was at fork; neither side sees the other's later writes. */
static void copy_on_write(void)
{
    enum { PAGES = 512 };
    uint64_t *m = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(m != MAP_FAILED);
    for (int round = 0; round < 10; round++) {
        pid_t kid[4];

        for (int i = 0; i < PAGES; i++)
            m[i * 512] = (uint64_t)round << 32 | (uint32_t)i;
        for (int k = 0; k < 4; k++) {
            kid[k] = fork();
            CHECK(kid[k] >= 0);
            if (kid[k] == 0) {
                for (int i = 0; i < PAGES; i++)
                    if (m[i * 512] != ((uint64_t)round << 32 | (uint32_t)i))
                        _exit(1);
                for (int i = 0; i < PAGES; i++)
                    m[i * 512] = ~0ull - (uint64_t)k;
                for (int i = 0; i < PAGES; i++)
                    if (m[i * 512] != ~0ull - (uint64_t)k)
                        _exit(2);
                _exit(0);
            }
        }
        for (int i = 0; i < PAGES; i += 2)
            m[i * 512 + 1] = (uint64_t)i;
        for (int k = 0; k < 4; k++)
            wait_ok(kid[k]);
        for (int i = 0; i < PAGES; i++)
            CHECK(m[i * 512] == ((uint64_t)round << 32 | (uint32_t)i));
    }
    CHECK(munmap(m, PAGES * 4096) == 0);
}

static void exec_many(void)
{
    for (int i = 0; i < 40; i++) {
        pid_t p = fork();

        CHECK(p >= 0);
        if (p == 0) {
            execl("/bin/busybox", "true", (char *)NULL);
            _exit(127);
        }
        wait_ok(p);
    }
}

static volatile sig_atomic_t faults;
static char *guarded;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
    char *page = (char *)((uintptr_t)si->si_addr & ~4095ul);

    if (sig != SIGSEGV || page < guarded || page >= guarded + 64 * 4096)
        _exit(3);
    faults++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void protect_and_fault(void)
{
    struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

    guarded = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guarded != MAP_FAILED && sigaction(SIGSEGV, &sa, NULL) == 0);
    for (int round = 0; round < 20; round++) {
        memset(guarded, round, 64 * 4096);
        CHECK(mprotect(guarded, 64 * 4096, PROT_READ) == 0);
        faults = 0;
        for (int i = 0; i < 64; i++)
            guarded[i * 4096] = (char)~round;
        CHECK(faults == 64);
        for (int i = 0; i < 64; i++)
            CHECK(guarded[i * 4096] == (char)~round && guarded[i * 4096 + 1] == (char)round);
    }
    munmap(guarded, 64 * 4096);
    signal(SIGSEGV, SIG_DFL);
}

static volatile sig_atomic_t ticks;

static void on_alarm(int sig)
{
    ticks++;
}

static void signals(void)
{
    struct itimerval it = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
    uint64_t x = 1;

    signal(SIGALRM, on_alarm);
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    while (ticks < 50)
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    CHECK(x != 0);
    for (int i = 0; i < 2000; i++)
        CHECK(kill(getpid(), SIGALRM) == 0);
}

static void pipes(void)
{
    int a[2], b[2];
    pid_t p;
    char buf[4096], back[4096];

    CHECK(pipe(a) == 0 && pipe(b) == 0);
    p = fork();
    if (p == 0) {
        ssize_t n;

        close(a[1]);
        while ((n = read(a[0], buf, sizeof(buf))) > 0) {
            for (ssize_t i = 0; i < n; i++)
                buf[i] ^= 0x5a;
            for (ssize_t done = 0, w; done < n; done += w)
                if ((w = write(b[1], buf + done, (size_t)(n - done))) < 0)
                    _exit(1);
        }
        _exit(0);
    }
    close(a[0]);
    for (int round = 0; round < 1000; round++) {
        size_t n = (size_t)(round * 37 % 4000 + 1), got = 0;

        for (size_t i = 0; i < n; i++)
            buf[i] = (char)(i * 7 + (size_t)round);
        CHECK(write(a[1], buf, n) == (ssize_t)n);
        while (got < n) {
            ssize_t r = read(b[0], back + got, n - got);
            CHECK(r > 0);
            got += (size_t)r;
        }
        for (size_t i = 0; i < n; i++)
            CHECK(back[i] == (char)(buf[i] ^ 0x5a));
    }
    close(a[1]);
    wait_ok(p);
    close(b[0]);
    close(b[1]);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t meet;
static uint64_t counter;
static atomic_uint_fast64_t total;

/* Each thread keeps values in vector registers while it competes for a lock. */
static void *worker(void *arg)
{
    double id = (double)(intptr_t)arg, sum = 0;

    for (int i = 0; i < 3000; i++) {
        sum += id * 0.5 + i;
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        if (i % 500 == 0)
            pthread_barrier_wait(&meet);
    }
    atomic_fetch_add(&total, (uint64_t)(sum * 2));
    return NULL;
}

static void threads(void)
{
    enum { N = 8 };
    pthread_t t[N];
    uint64_t expect = 0;

    pthread_barrier_init(&meet, NULL, N);
    for (intptr_t i = 0; i < N; i++)
        CHECK(pthread_create(&t[i], NULL, worker, (void *)i) == 0);
    for (int i = 0; i < N; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
        expect += 3000ull * (uint64_t)i + 3000ull * 2999;
    }
    CHECK(counter == N * 3000);
    CHECK(total == expect);
}

static void map_churn(void)
{
    for (int i = 0; i < 400; i++) {
        size_t len = (size_t)(i % 50 + 1) * 4096;
        unsigned char *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        CHECK(m != MAP_FAILED);
        for (size_t k = 0; k < len; k += 4096) {
            CHECK(m[k] == 0 && m[k + 4095] == 0);
            m[k] = 0xaa;
        }
        m = mremap(m, len, len * 2, MREMAP_MAYMOVE);
        CHECK(m != MAP_FAILED);
        for (size_t k = 0; k < len * 2; k += 4096)
            CHECK(m[k] == (k < len ? 0xaa : 0));
        CHECK(munmap(m, len * 2) == 0);
    }
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;

    for (int i = 0; i < rounds; i++) {
        counter = 0;
        total = 0;
        ticks = 0;
        copy_on_write();
        exec_many();
        protect_and_fault();
        signals();
        pipes();
        threads();
        map_churn();
    }
    return 0;
}
