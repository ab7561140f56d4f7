/* How a typical microcontroller's loop uses ved_sender.h. What begins with board_ is yours: the CAN driver, a UDP socket
 * (lwIP, a WIZnet chip, an ESP32 or a modem), a timer of microseconds, and a page of flash.
 */
#define VED_SENDER_IMPLEMENTATION
#include "ved_sender.h"

#include "ved_key.h" /* ved keys datagram fs > ved_key.h; keep it out of your repository */

/* A frame from the ring that the CAN interrupt fills; 0 when there is none. */
extern int board_take_frame(ved_frame *frame, uint64_t *t_us);
/* Frames that the CAN controller or the ring had no room for since the last call. */
extern uint32_t board_overruns(void);
/* Microseconds since the start in 64 bits: extend a timer of 32 bits in its overflow interrupt. */
extern uint64_t board_now_us(void);
extern int board_udp_send(const uint8_t *data, size_t size);
/* 8 bytes that this board got once from true random numbers (the unique id of a chip is NOT random, but serves where
 * nothing better is at hand), and a counter in flash that is raised and written before it returns. */
extern void board_identity(uint8_t out[8]);
extern uint64_t board_count_start(void);
/* Values that never were CAN frames. */
extern double board_temperature(void);

void board_loop(void);

static int send_datagram(void *user, const uint8_t *data, size_t size) {
    (void)user;
    return board_udp_send(data, size);
}

static void make_epoch(uint8_t epoch[VED_EPOCH_BYTES], uint8_t part, uint64_t start) {
    unsigned i;
    board_identity(epoch);
    for (i = 0; i < 7u; i++) {
        epoch[8u + i] = (uint8_t)(start >> (8u * i));
    }
    epoch[15] = part; /* frames and samples have epochs of their own */
}

void board_loop(void) {
    static const uint8_t key[VED_KEY_BYTES] = VED_KEY;
    static uint8_t frame_buffer[VED_SAFE_DATAGRAM], sample_buffer[256];
    static ved_sender frames, samples;
    const uint64_t start = board_count_start();
    uint64_t flushed_us = 0, sampled_us = 0, t_us;
    ved_setup setup;
    ved_frame frame;

    memset(&setup, 0, sizeof setup);
    setup.key_id = VED_KEY_ID;
    memcpy(setup.key, key, sizeof key);
    setup.send = send_datagram;

    setup.kind = VED_FRAMES;
    make_epoch(setup.epoch, 0, start);
    setup.buffer = frame_buffer;
    setup.buffer_size = sizeof frame_buffer;
    (void)ved_sender_init(&frames, &setup);

    setup.kind = VED_SAMPLES;
    make_epoch(setup.epoch, 1, start);
    setup.buffer = sample_buffer;
    setup.buffer_size = sizeof sample_buffer;
    (void)ved_sender_init(&samples, &setup);

    for (;;) {
        const uint64_t now_us = board_now_us();
        const uint32_t missed = board_overruns();
        while (board_take_frame(&frame, &t_us)) {
            (void)ved_sender_frame(&frames, t_us, &frame); /* a full datagram goes by itself */
        }
        if (missed > 0u) {
            (void)ved_sender_lost(&frames, missed, now_us);
        }
        if (now_us - flushed_us >= 100000u) {
            flushed_us = now_us;
            (void)ved_sender_flush(&frames, now_us);
        }
        if (now_us - sampled_us >= 1000000u) {
            sampled_us = now_us;
            (void)ved_sender_sample(&samples, now_us, "Board.temperature", "\xc2\xb0" "C", board_temperature());
            (void)ved_sender_flush(&samples, now_us);
        }
    }
}
