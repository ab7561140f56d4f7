/* Reads commands from standard input and does what they say with ved_sender.h; the tests in Python write them. */
#define VED_SENDER_IMPLEMENTATION
#include "ved_sender.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned fails;

static void take(void *to, size_t size) {
    if (size > 0 && fread(to, 1, size, stdin) != size) {
        exit(3);
    }
}

static uint64_t number(unsigned bytes) {
    uint8_t raw[8];
    uint64_t out = 0;
    take(raw, bytes);
    while (bytes-- > 0) {
        out = out << 8 | raw[bytes];
    }
    return out;
}

static void say(char what, const void *data, size_t size) {
    const uint8_t head[3] = {(uint8_t)what, (uint8_t)size, (uint8_t)(size >> 8)};
    fwrite(head, 1, sizeof head, stdout);
    fwrite(data, 1, size, stdout);
}

static int send_it(void *user, const uint8_t *data, size_t size) {
    say(*(const char *)user, data, size);
    if (fails > 0) {
        fails--;
        return -1;
    }
    return 0;
}

static void result_of(ved_result result) {
    const uint8_t byte = (uint8_t)result;
    say('R', &byte, 1);
}

static void digest(int with_key) {
    uint8_t out[32];
    size_t key_size = with_key ? (size_t)number(2) : 0, size;
    uint8_t *key = malloc(key_size + 1), *data;
    take(key, key_size);
    size = (size_t)number(4);
    data = malloc(size + 1);
    take(data, size);
    if (with_key) {
        ved_hmac_sha256(key, key_size, data, size, out);
    } else {
        ved_sha256(data, size, out);
    }
    say('H', out, sizeof out);
    free(key);
    free(data);
}

int main(void) {
    static char mark = 'D';
    ved_sender sender;
    uint8_t *buffer = NULL;
    int command;
    while ((command = getchar()) != EOF) {
        if (command == 'I') {
            ved_setup setup = {0};
            uint64_t next_seq;
            setup.kind = (int)number(1);
            setup.key_id = (uint32_t)number(4);
            take(setup.key, sizeof setup.key);
            take(setup.epoch, sizeof setup.epoch);
            setup.buffer_size = (size_t)number(2);
            next_seq = number(8);
            free(buffer);
            buffer = setup.buffer = malloc(setup.buffer_size > 0 ? setup.buffer_size : 1);
            setup.buffer = setup.buffer_size > 0 ? buffer : NULL;
            setup.send = send_it;
            setup.user = &mark;
            fails = 0;
            result_of(ved_sender_init(&sender, &setup));
            sender.next_seq = next_seq;
        } else if (command == 'F') {
            ved_frame frame;
            uint64_t t_us = number(8);
            frame.id = (uint32_t)number(4);
            frame.bus = (uint8_t)number(1);
            frame.flags = (uint8_t)number(1);
            frame.length = (uint8_t)number(1);
            take(frame.data, sizeof frame.data);
            result_of(ved_sender_frame(&sender, t_us, &frame));
        } else if (command == 'S') {
            char name[301] = {0}, unit[301] = {0};
            uint64_t t_us = number(8), bits = number(8);
            double value;
            memcpy(&value, &bits, sizeof value);
            take(name, (size_t)number(2));
            take(unit, (size_t)number(2));
            result_of(ved_sender_sample(&sender, t_us, name, unit, value));
        } else if (command == 'L') {
            uint32_t count = (uint32_t)number(4);
            result_of(ved_sender_lost(&sender, count, number(8)));
        } else if (command == 'X') {
            result_of(ved_sender_flush(&sender, number(8)));
        } else if (command == 'N') {
            fails = (unsigned)number(1);
        } else if (command == 'H' || command == 'M') {
            digest(command == 'M');
        } else {
            return 4;
        }
    }
    free(buffer);
    return 0;
}
