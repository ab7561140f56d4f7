/* ved_sender.h - sends CAN frames and samples of a microcontroller to a Télémétrie VED server as datagrams.
 *
 * C99 (and C++), one file, no allocation, nothing of libc but memcpy and memset. In exactly one
 * source file:
 *
 *     #define VED_SENDER_IMPLEMENTATION
 *     #include "ved_sender.h"
 *
 * and plainly #include "ved_sender.h" elsewhere. The format and what it promises: docs/spec/datagram.md. In short: nothing
 * is acknowledged and nothing is sent again; the server knows exactly what was lost.
 *
 * A ved_sender belongs to one task: calls from an interrupt and from the main loop at the same time are not allowed.
 * Define VED_SENDER_NO_SAMPLES to leave samples out (they need a double of 8 bytes).
 *
 * Copyright the contributors of Télémétrie VED; see LICENSE.
 */
#ifndef VED_SENDER_H
#define VED_SENDER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VED_KEY_BYTES 32u
#define VED_EPOCH_BYTES 16u
#define VED_MAX_DATAGRAM 1472u  /* what the server takes; fits Ethernet over IPv4 */
#define VED_SAFE_DATAGRAM 1232u /* passes every way that IPv6 allows: take this */
#define VED_MIN_BUFFER 139u     /* one CAN FD frame of 64 bytes */
#define VED_MAX_SEQ ((uint64_t)1 << 48)
#define VED_MAX_T_US ((uint64_t)1 << 53)

enum { VED_FRAMES = 1, VED_SAMPLES = 2 };

/* Bits of ved_frame.flags. */
enum {
    VED_EXTENDED = 1,
    VED_FD = 2,
    VED_BIT_RATE_SWITCH = 4,
    VED_ERROR_STATE = 8,
    VED_REMOTE = 16,
    VED_ERROR = 32,
    VED_TRANSMITTED = 64
};

/* What calls return. */
typedef enum {
    VED_OK = 0,
    VED_NOT_SENT = 1, /* the entry was taken, but a datagram could not be sent: its entries are lost, the server will know */
    VED_BAD_ENTRY = 2, /* the entry cannot be sent (range, length, time before the epoch): it got no seq */
    VED_BAD_SETUP = 3, /* ved_sender_init: a field is missing or out of range */
    VED_OVER = 4       /* all seqs or times of the epoch are used up: start a new epoch */
} ved_result;

/* Puts one datagram on its way; returns 0 when it did. It must not keep `data`. */
typedef int (*ved_send)(void *user, const uint8_t *data, size_t size);

typedef struct {
    int kind;                       /* VED_FRAMES or VED_SAMPLES; never both in one epoch */
    uint32_t key_id;                /* 'ved keys datagram VEHICLE' prints it */
    uint8_t key[VED_KEY_BYTES];     /* and this */
    uint8_t epoch[VED_EPOCH_BYTES]; /* must never have been used before, by any device: see the README */
    uint8_t *buffer;                /* at least VED_MIN_BUFFER bytes that live as long as the sender */
    size_t buffer_size;             /* VED_SAFE_DATAGRAM is a good size; more than VED_MAX_DATAGRAM is not used */
    ved_send send;
    void *user;
} ved_setup;

typedef struct {
    uint32_t id;
    uint8_t bus;
    uint8_t flags;
    uint8_t length; /* data bytes; of a remote frame what it asks for */
    uint8_t data[64];
} ved_frame;

/* Everything of one epoch. Its fields are for reading, the counters above all. */
typedef struct {
    uint32_t inner[8], outer[8]; /* HMAC: SHA-256 after the padded keys */
    uint8_t *buffer;
    size_t limit, used;
    ved_send send;
    void *user;
    int kind;
    uint64_t next_seq; /* of the next entry */
    uint64_t base_us;  /* of the first entry in the buffer */
    uint16_t count;    /* entries in the buffer */
    uint32_t datagrams_sent, datagrams_failed;
} ved_sender;

/* Makes a sender ready for a new epoch. `setup` is not needed afterwards. */
ved_result ved_sender_init(ved_sender *sender, const ved_setup *setup);

/* Takes one frame. `t_us`: when it came, on a monotonic clock of microseconds that began with the epoch and never wraps.
 * A full buffer is sent first. */
ved_result ved_sender_frame(ved_sender *sender, uint64_t t_us, const ved_frame *frame);

#ifndef VED_SENDER_NO_SAMPLES
/* Takes one value of a channel ("Pack.temperature", 1 to 255 bytes of UTF-8; unit up to 64). */
ved_result ved_sender_sample(ved_sender *sender, uint64_t t_us, const char *channel, const char *unit, double value);
#endif

/* Sends what waits, if anything. Call it every 50 to 100 ms. `now_us`: the time now, on the same clock. */
ved_result ved_sender_flush(ved_sender *sender, uint64_t now_us);

/* Says that `count` entries never came to this sender (an overrun of the CAN controller): the server declares them lost. */
ved_result ved_sender_lost(ved_sender *sender, uint32_t count, uint64_t now_us);

/* SHA-256 and HMAC-SHA256 of whole messages, for tests of a port. */
void ved_sha256(const uint8_t *data, size_t size, uint8_t out[32]);
void ved_hmac_sha256(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint8_t out[32]);

#ifdef __cplusplus
}
#endif
#endif /* VED_SENDER_H */

#ifdef VED_SENDER_IMPLEMENTATION
#ifndef VED_SENDER_IMPLEMENTED
#define VED_SENDER_IMPLEMENTED

#include <string.h>

#define VED_HEADER_BYTES_ 48u
#define VED_MAC_BYTES_ 16u
#define VED_FRAME_BYTES_ 11u
#define VED_SAMPLE_BYTES_ 14u
#define VED_MAX_DT_US_ 0x7fffffffu
#define VED_BLOCK_ 64u

/* ---- SHA-256 (FIPS 180-4) ---- */

static const uint32_t ved_k_[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

static const uint32_t ved_start_[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                       0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};

static uint32_t ved_turn_(uint32_t x, unsigned by) { return (x >> by) | (x << (32u - by)); }

static void ved_block_(uint32_t state[8], const uint8_t *block) {
    uint32_t w[16], s[8], t1, t2, a, b;
    unsigned i;
    for (i = 0; i < 16u; i++) {
        w[i] = (uint32_t)block[4u * i] << 24 | (uint32_t)block[4u * i + 1u] << 16 | (uint32_t)block[4u * i + 2u] << 8 |
               (uint32_t)block[4u * i + 3u];
    }
    memcpy(s, state, sizeof s);
    for (i = 0; i < 64u; i++) {
        if (i >= 16u) {
            a = w[(i + 1u) & 15u];
            b = w[(i + 14u) & 15u];
            w[i & 15u] += (ved_turn_(a, 7) ^ ved_turn_(a, 18) ^ (a >> 3)) + w[(i + 9u) & 15u] +
                          (ved_turn_(b, 17) ^ ved_turn_(b, 19) ^ (b >> 10));
        }
        t1 = s[7] + (ved_turn_(s[4], 6) ^ ved_turn_(s[4], 11) ^ ved_turn_(s[4], 25)) +
             ((s[4] & s[5]) ^ (~s[4] & s[6])) + ved_k_[i] + w[i & 15u];
        t2 = (ved_turn_(s[0], 2) ^ ved_turn_(s[0], 13) ^ ved_turn_(s[0], 22)) +
             ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + t1;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = t1 + t2;
    }
    for (i = 0; i < 8u; i++) {
        state[i] += s[i];
    }
}

/* Hashes `data` on from `state`, which has taken `before` bytes (whole blocks), and writes the digest. */
static void ved_finish_(uint32_t state[8], size_t before, const uint8_t *data, size_t size, uint8_t out[32]) {
    uint8_t last[VED_BLOCK_];
    uint64_t bits = ((uint64_t)before + (uint64_t)size) * 8u;
    unsigned i;
    while (size >= VED_BLOCK_) {
        ved_block_(state, data);
        data += VED_BLOCK_;
        size -= VED_BLOCK_;
    }
    memset(last, 0, sizeof last);
    if (size > 0u) {
        memcpy(last, data, size);
    }
    last[size] = 0x80u;
    if (size >= 56u) {
        ved_block_(state, last);
        memset(last, 0, sizeof last);
    }
    for (i = 0; i < 8u; i++) {
        last[56u + i] = (uint8_t)(bits >> (56u - 8u * i));
    }
    ved_block_(state, last);
    for (i = 0; i < 32u; i++) {
        out[i] = (uint8_t)(state[i / 4u] >> (24u - 8u * (i % 4u)));
    }
}

void ved_sha256(const uint8_t *data, size_t size, uint8_t out[32]) {
    uint32_t state[8];
    memcpy(state, ved_start_, sizeof state);
    ved_finish_(state, 0, data, size, out);
}

/* The states after the two padded keys (RFC 2104): what every MAC of this key begins with. */
static void ved_key_(const uint8_t *key, size_t size, uint32_t inner[8], uint32_t outer[8]) {
    uint8_t pad[VED_BLOCK_];
    unsigned i;
    memset(pad, 0, sizeof pad);
    if (size > VED_BLOCK_) {
        ved_sha256(key, size, pad);
    } else if (size > 0u) {
        memcpy(pad, key, size);
    }
    for (i = 0; i < VED_BLOCK_; i++) {
        pad[i] ^= 0x36u;
    }
    memcpy(inner, ved_start_, 32u);
    ved_block_(inner, pad);
    for (i = 0; i < VED_BLOCK_; i++) {
        pad[i] ^= 0x36u ^ 0x5cu;
    }
    memcpy(outer, ved_start_, 32u);
    ved_block_(outer, pad);
}

static void ved_mac_(const uint32_t inner[8], const uint32_t outer[8], const uint8_t *data, size_t size,
                     uint8_t out[32]) {
    uint32_t state[8];
    memcpy(state, inner, sizeof state);
    ved_finish_(state, VED_BLOCK_, data, size, out);
    memcpy(state, outer, sizeof state);
    ved_finish_(state, VED_BLOCK_, out, 32u, out);
}

void ved_hmac_sha256(const uint8_t *key, size_t key_size, const uint8_t *data, size_t size, uint8_t out[32]) {
    uint32_t inner[8], outer[8];
    ved_key_(key, key_size, inner, outer);
    ved_mac_(inner, outer, data, size, out);
}

/* ---- the datagram ---- */

static void ved_put_(uint8_t *at, uint64_t value, unsigned bytes) {
    unsigned i;
    for (i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8u * i));
    }
}

ved_result ved_sender_init(ved_sender *sender, const ved_setup *setup) {
    if (sender == NULL || setup == NULL || setup->buffer == NULL || setup->send == NULL ||
        setup->buffer_size < VED_MIN_BUFFER || (setup->kind != VED_FRAMES && setup->kind != VED_SAMPLES)) {
        return VED_BAD_SETUP;
    }
    memset(sender, 0, sizeof *sender);
    ved_key_(setup->key, VED_KEY_BYTES, sender->inner, sender->outer);
    sender->buffer = setup->buffer;
    sender->limit = (setup->buffer_size > VED_MAX_DATAGRAM ? VED_MAX_DATAGRAM : setup->buffer_size) - VED_MAC_BYTES_;
    sender->send = setup->send;
    sender->user = setup->user;
    sender->kind = setup->kind;
    sender->next_seq = 1;
    sender->buffer[0] = (uint8_t)'V';
    sender->buffer[1] = (uint8_t)'D';
    sender->buffer[2] = 1;
    sender->buffer[3] = (uint8_t)setup->kind;
    ved_put_(sender->buffer + 4, setup->key_id, 4);
    memcpy(sender->buffer + 8, setup->epoch, VED_EPOCH_BYTES);
    sender->used = VED_HEADER_BYTES_;
    return VED_OK;
}

ved_result ved_sender_flush(ved_sender *sender, uint64_t now_us) {
    uint8_t mac[32];
    uint64_t sent_us = now_us > sender->base_us ? now_us - sender->base_us : 0u;
    size_t size = sender->used;
    if (sender->count == 0u) {
        return VED_OK;
    }
    ved_put_(sender->buffer + 24, sender->next_seq - sender->count, 8);
    ved_put_(sender->buffer + 32, sender->base_us, 8);
    ved_put_(sender->buffer + 40, sent_us > 0xffffffffu ? 0xffffffffu : sent_us, 4);
    ved_put_(sender->buffer + 44, sender->count, 2);
    ved_put_(sender->buffer + 46, 0, 2);
    ved_mac_(sender->inner, sender->outer, sender->buffer, size, mac);
    memcpy(sender->buffer + size, mac, VED_MAC_BYTES_);
    sender->count = 0;
    sender->used = VED_HEADER_BYTES_;
    if (sender->send(sender->user, sender->buffer, size + VED_MAC_BYTES_) != 0) {
        sender->datagrams_failed++;
        return VED_NOT_SENT;
    }
    sender->datagrams_sent++;
    return VED_OK;
}

/* Makes room for an entry of `size` bytes and writes its dt_us; `*at` is where its other fields go. */
static ved_result ved_begin_(ved_sender *sender, uint64_t t_us, size_t size, uint8_t **at) {
    ved_result result = VED_OK;
    uint64_t apart_us;
    if (t_us > VED_MAX_T_US || sender->next_seq > VED_MAX_SEQ) {
        return VED_OVER;
    }
    apart_us = t_us > sender->base_us ? t_us - sender->base_us : sender->base_us - t_us;
    if (sender->count > 0u && (size > sender->limit - sender->used || apart_us > VED_MAX_DT_US_)) {
        result = ved_sender_flush(sender, t_us);
    }
    if (sender->count == 0u) {
        sender->base_us = t_us;
    }
    ved_put_(sender->buffer + sender->used, t_us - sender->base_us, 4);
    *at = sender->buffer + sender->used + 4;
    sender->used += size;
    sender->count++;
    sender->next_seq++;
    return result;
}

ved_result ved_sender_frame(ved_sender *sender, uint64_t t_us, const ved_frame *frame) {
    unsigned flags = frame->flags;
    size_t data_bytes = (flags & VED_REMOTE) != 0u ? 0u : frame->length;
    uint8_t *at = NULL;
    ved_result result;
    if (sender->kind != VED_FRAMES || (flags & 0x80u) != 0u || frame->length > ((flags & VED_FD) != 0u ? 64u : 8u) ||
        ((flags & VED_FD) != 0u && (flags & VED_REMOTE) != 0u) ||
        frame->id >= ((flags & VED_EXTENDED) != 0u ? (uint32_t)1 << 29 : (uint32_t)1 << 11)) {
        return VED_BAD_ENTRY;
    }
    result = ved_begin_(sender, t_us, VED_FRAME_BYTES_ + data_bytes, &at);
    if (result == VED_OVER) {
        return result;
    }
    ved_put_(at, frame->id, 4);
    at[4] = frame->bus;
    at[5] = frame->flags;
    at[6] = frame->length;
    if (data_bytes > 0u) {
        memcpy(at + 7, frame->data, data_bytes);
    }
    return result;
}

#ifndef VED_SENDER_NO_SAMPLES
/* A compiler whose double is not IEEE binary64 cannot build samples: define VED_SENDER_NO_SAMPLES there. */
typedef char ved_double_has_8_bytes_[sizeof(double) == 8u ? 1 : -1];

static size_t ved_length_(const char *text, size_t most) {
    size_t length = 0;
    while (length <= most && text[length] != '\0') {
        length++;
    }
    return length;
}

ved_result ved_sender_sample(ved_sender *sender, uint64_t t_us, const char *channel, const char *unit, double value) {
    size_t name_bytes = ved_length_(channel, 255), unit_bytes = ved_length_(unit, 64);
    size_t size = VED_SAMPLE_BYTES_ + name_bytes + unit_bytes;
    uint64_t bits;
    uint8_t *at = NULL;
    ved_result result;
    if (sender->kind != VED_SAMPLES || name_bytes < 1u || name_bytes > 255u || unit_bytes > 64u ||
        size > sender->limit - VED_HEADER_BYTES_) {
        return VED_BAD_ENTRY;
    }
    result = ved_begin_(sender, t_us, size, &at);
    if (result == VED_OVER) {
        return result;
    }
    memcpy(&bits, &value, sizeof bits);
    ved_put_(at, bits, 8);
    at[8] = (uint8_t)name_bytes;
    at[9] = (uint8_t)unit_bytes;
    memcpy(at + 10, channel, name_bytes);
    if (unit_bytes > 0u) {
        memcpy(at + 10 + name_bytes, unit, unit_bytes);
    }
    return result;
}
#endif

ved_result ved_sender_lost(ved_sender *sender, uint32_t count, uint64_t now_us) {
    ved_result result = ved_sender_flush(sender, now_us);
    if (sender->next_seq + count > VED_MAX_SEQ + 1u) {
        return VED_OVER;
    }
    sender->next_seq += count;
    return result;
}

#endif /* VED_SENDER_IMPLEMENTED */
#endif /* VED_SENDER_IMPLEMENTATION */
