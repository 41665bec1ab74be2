/* SPDX-License-Identifier: MIT */
/*
 * test-replug.c - runs in a guest: its vif is taken away and given back by the host while TCP runs over it, ROUNDS times; after each, a new
 * transfer is compared byte for byte. As in test-tcp.c, which does the transfers, the environment's peer makes it a client, and the one
 * whose vif goes; without, it is the server.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 2
#define ETH0   "/sys/class/net/eth0"

static long sent_bytes(void)
{
    FILE *f = fopen(ETH0 "/statistics/tx_bytes", "r");
    long n = 0;

    if (f && fscanf(f, "%ld", &n) != 1)
        n = 0;
    if (f)
        fclose(f);
    return n;
}

static void wait_until(int there)
{
    while ((access(ETH0, F_OK) == 0) != there)
        usleep(10000);
}

/* A transfer that has no end before its interface has. */
#define ENDLESS "MIB=2000 exec /bin/test-tcp"

static pid_t endless(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", ENDLESS, NULL);
        _exit(127);
    }
    return pid;
}

static int client(int round)
{
    long before = sent_bytes();
    pid_t pid = endless();

    while (sent_bytes() - before < 2 << 20)
        usleep(10000);
    printf("replug: round %d, a transfer runs\n", round);
    wait_until(0);
    printf("replug: round %d, no interface\n", round);    /* one that came too early would be taken for the old one */
    wait_until(1);
    if (system("ifconfig eth0 $(cat /run/ip) netmask 255.255.255.0 up"))
        return 1;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return system("/bin/test-tcp");
}

/* The transfer that is broken off, then the one that must not be. */
static int server(void)
{
    return system(ENDLESS) == 0 || system("/bin/test-tcp");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int round = 1; round <= ROUNDS; round++)
        if (getenv("peer") ? client(round) : server())
            return 1;
    return 0;
}
