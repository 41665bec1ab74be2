/* SPDX-License-Identifier: MIT */
/*
 * nvme_cmd.h - what goes over the wire to an NVMe controller and back (NVM Express 1.4): layouts,
 * building commands, reading what Identify says. Pure.
 */
#ifndef BLKBACK_DRV_NVME_CMD_H
#define BLKBACK_DRV_NVME_CMD_H

#include "addr.h"

/* Controller registers, by offset. */
#define NVME_CAP        0x00
#define NVME_VS         0x08
#define NVME_CC         0x14
#define NVME_CSTS       0x1c
#define NVME_AQA        0x24
#define NVME_ASQ        0x28
#define NVME_ACQ        0x30
#define NVME_DOORBELLS  0x1000

#define NVME_CC_EN      1u
#define NVME_CC_SIZES   (4u << 20 | 6u << 16)   /* completions of 16 bytes, commands of 64 */
#define NVME_CSTS_RDY   1u
#define NVME_CSTS_FATAL 2u

enum {
    NVME_ADMIN_CREATE_SQ = 1, NVME_ADMIN_CREATE_CQ = 5, NVME_ADMIN_IDENTIFY = 6,
    NVME_ADMIN_SET_FEATURES = 9,
};
enum { NVME_FLUSH = 0, NVME_WRITE = 1, NVME_READ = 2, NVME_WRITE_ZEROES = 8, NVME_DSM = 9 };

#define NVME_FEATURE_QUEUES   7u
#define NVME_IDENTIFY_NS      0u
#define NVME_IDENTIFY_CTRL    1u
#define NVME_IDENTIFY_ACTIVE  2u

#define NVME_RW_FUA           (1u << 30)
#define NVME_DSM_DEALLOCATE   4u

struct nvme_cmd {
    uint8_t opcode, flags;
    uint16_t cid;
    uint32_t nsid;
    uint64_t reserved, metadata;
    uint64_t prp1, prp2;
    uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_cpl {
    uint32_t result, reserved;
    uint16_t sq_head, sq_id;
    uint16_t cid;
    uint16_t status;            /* bit 0: phase; 1-8: code; 9-11: its kind; 15: do not retry */
};

/* What CAP says, as far as it matters. */
struct nvme_caps {
    uint32_t entries_max;       /* of one queue */
    uint32_t bell_stride;       /* bytes */
    uint32_t timeout_ms;        /* to become ready, or not ready */
};

/* NULL, or why the controller cannot be used. */
const char *nvme_parse_cap(struct nvme_caps *c, uint64_t cap);

struct nvme_ctrl_info {
    char model[41], serial[21];
    uint32_t bytes_max;         /* of one command's data */
    uint32_t nr_ns;             /* highest namespace number there can be */
    bool write_cache, dsm, write_zeroes;
};

/* id: the 4096 bytes of Identify Controller. */
void nvme_parse_ctrl(struct nvme_ctrl_info *c, const uint8_t *id);

struct nvme_ns_info {
    uint64_t blocks;
    uint32_t block_shift;       /* 9 or 12 */
    bool readonly;
};

/* id: the 4096 bytes of Identify Namespace. NULL, or why the namespace cannot be used. */
const char *nvme_parse_ns(struct nvme_ns_info *ns, const uint8_t *id);

/* A piece of memory inside of one page. */
struct nvme_piece {
    paddr_t at;
    uint32_t bytes;
};

#define NVME_LIST_MAX 32u       /* page addresses behind a command */

/*
 * How many of n pieces, from the first on, one command can carry: it wants whole pages but for the
 * beginning of the first and the end of the last, whole blocks, at most bytes_max, and has
 * NVME_LIST_MAX addresses beside its own first. *bytes gets their length; 0: not even the
 * beginning is whole blocks.
 */
uint32_t nvme_fit(const struct nvme_piece *p, uint32_t n, uint32_t block_size, uint32_t bytes_max,
                  uint32_t *bytes);

/* Puts n pieces for which nvme_fit() gave n into the command; list (at machine address list_at) is its
 * own until it has completed. */
void nvme_set_pages(struct nvme_cmd *c, const struct nvme_piece *p, uint32_t n, uint64_t *list,
                    paddr_t list_at);

/* "kind 0 code 0x81" of a completion's status is 0 for success. */
static inline uint32_t nvme_status(const struct nvme_cpl *c)
{
    return c->status >> 1 & 0x7ff;
}

#endif
