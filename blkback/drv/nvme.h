/* SPDX-License-Identifier: MIT */
/* nvme.h - what nvme.c (life of a controller) and nvme_io.c (its queues) share. */
#ifndef BLKBACK_DRV_NVME_H
#define BLKBACK_DRV_NVME_H

#include "blkback/physdisk.h"
#include "blkback/drv/nvme_cmd.h"
#include "runtime/loop.h"

#define NVME_NS_MAX      16u
#define NVME_ADMIN_DEPTH 8u         /* entries of a queue; one less can be under way */
#define NVME_IO_DEPTH    128u
#define NVME_ATTEMPTS    2u         /* of a request, with a reset in between */

struct nvme;

/* A command that the controller has. */
struct nvme_slot {
    struct nvme_io *io;             /* of an I/O queue */
    void (*done)(struct nvme *n, uint32_t status);      /* of the admin queue */
    uint64_t since;                 /* when it was given */
    bool busy;
};

struct nvme_queue {
    uint16_t id, depth;
    struct nvme_cmd *sq;
    volatile struct nvme_cpl *cq;
    paddr_t sq_at, cq_at;
    volatile uint32_t *sq_bell, *cq_bell;
    uint16_t sq_tail, sq_rung, cq_head, phase;
    struct nvme_slot slot[NVME_IO_DEPTH];       /* by command identifier */
    uint16_t free[NVME_IO_DEPTH], nr_free;
};

/* How far a request has been turned into commands. */
struct nvme_io {
    struct disk_io *io;             /* NULL: unused */
    struct nvme_ns *ns;
    uint64_t sectors;               /* made commands of */
    uint16_t seg;                   /* the next segment */
    uint16_t under_way;             /* commands */
    uint8_t attempts;
    int rc;
};

struct nvme_ns {
    struct physdisk disk;
    struct nvme *ctrl;
    uint32_t nsid;
    struct nvme_ns_info info;
    bool gone;
    uint64_t next_report;           /* errors are logged once a second at most */
};

enum nvme_state { NVME_DISABLING, NVME_ENABLING, NVME_SETUP, NVME_LIVE, NVME_DEAD };

struct nvme {
    struct pci_dev *pci;
    char name[16];                  /* nvme0 */
    volatile uint8_t *regs;
    struct nvme_caps caps;
    struct nvme_ctrl_info info;
    enum nvme_state state;
    bool held;                      /* physdisk_release() is due */
    bool was_live;
    unsigned int resets;            /* since the last request that succeeded */
    uint64_t deadline;              /* of DISABLING and ENABLING */
    struct timer timer;
    struct pci_irq irqs[2];
    unsigned int nr_irqs;
    uint8_t *page;                  /* of admin commands' data */
    paddr_t page_at;
    uint32_t todo[NVME_NS_MAX], nr_todo, at_todo;   /* namespaces to look at */
    struct nvme_ns *ns[NVME_NS_MAX];
    uint32_t nr_ns;

    struct nvme_queue admin, io;
    uint64_t *lists[NVME_IO_DEPTH]; /* per slot: NVME_LIST_MAX page addresses */
    struct list waiting;            /* disk_io: not yet, or not all, made commands of */
    struct nvme_io pool[NVME_IO_DEPTH + 1];
};

/* nvme_io.c */

/* Memory of a queue of `depth` entries; 0 or -XEN_ENOMEM. */
int nvme_queue_alloc(struct nvme_queue *q, uint16_t id, uint16_t depth);
/* As after a reset: empty. */
void nvme_queue_reset(struct nvme *n, struct nvme_queue *q);
int nvme_io_alloc(struct nvme *n);
void nvme_submit_admin(struct nvme *n, const struct nvme_cmd *c,
                       void (*done)(struct nvme *n, uint32_t status));
void nvme_poll(struct nvme *n, struct nvme_queue *q);
/* Makes commands of what waits, as far as there is room, and rings. */
void nvme_pump(struct nvme *n);
/* The controller cannot touch memory now: what it had goes back to waiting, or fails after too many
 * attempts, or if there will be no other. */
void nvme_take_back(struct nvme *n, bool for_good);
/* When the oldest command was given; 0: there is none. */
uint64_t nvme_oldest(const struct nvme_queue *q);
extern const struct physdisk_driver nvme_disk_driver;

/* nvme.c */

/* The controller misbehaves: logs why and starts it anew. */
void nvme_fault(struct nvme *n, const char *fmt, ...) __printf(2, 3);
void nvme_watch(struct nvme *n);    /* commands are under way: look at them in a while */

#endif
