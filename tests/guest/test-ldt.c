/* SPDX-License-Identifier: MIT */
/*
 * test-ldt - processes and threads with segments of their own in the LDT, which change, are loaded
 * and read through while others run: what a hypervisor has to keep apart at each switch.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES   4
#define ROUNDS      400
#define ENTRIES     1200        /* more than one page of them */

static int set_entry(unsigned int i, unsigned long base)
{
    struct user_desc d = { .entry_number = i, .base_addr = (unsigned int)base, .limit = 0xfffff,
                           .seg_32bit = 1, .limit_in_pages = 1, .useable = 1 };

    return (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

/* The word that segment entry i starts with, through %gs (the C library needs %fs). */
static uint64_t read_through(unsigned int i)
{
    uint64_t v;
    uint16_t selector = (uint16_t)(i << 3 | 7);

    __asm__ volatile("mov %1, %%gs\n\tmov %%gs:0, %0" : "=r"(v) : "r"(selector));
    return v;
}

static int work(unsigned int who)
{
    uint64_t *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    if (data == MAP_FAILED)
        return 1;
    for (unsigned int r = 0; r < ROUNDS; r++) {
        /* The two threads of a process share an LDT: odd and even slots. */
        unsigned int slot = 2 * ((who * 37 + r * 61) % (ENTRIES / 2)) + (who >= 100);

        data[0] = (uint64_t)who << 32 | r;
        if (set_entry(slot, (unsigned long)data))
            return 2;
        if (read_through(slot) != data[0])
            return 3;
        sched_yield();
        data[0]++;
        if (read_through(slot) != data[0])
            return 4;
        if (r % 50 == 0)
            usleep(1000);
    }
    return 0;
}

static void *thread(void *arg)
{
    return (void *)(long)work((unsigned int)(long)arg);
}

int main(void)
{
    int bad = 0, status;

    for (unsigned int p = 0; p < PROCESSES; p++) {
        pid_t child = fork();

        if (child == 0) {
            pthread_t t;
            void *r = NULL;

            if (pthread_create(&t, NULL, thread, (void *)(long)(100 + p)))
                _exit(9);
            status = work(p);
            pthread_join(t, &r);
            _exit(status ? status : (int)(long)r);
        }
    }
    while (wait(&status) > 0) {
        if (status)
            printf("ldt: a process ended with status %#x\n", status);
        bad |= status != 0;
    }
    return bad;
}
