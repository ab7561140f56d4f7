/* Sends frames from a Linux or macOS machine: for trying a server out, and for devices that run Linux.
 *
 *   ved keys datagram fs > ved_key.h
 *   cc -std=c99 -O2 -I.. -I. posix_main.c -o sender
 *   ./sender 127.0.0.1 8791 600
 *
 * It sends 100 frames each second, as a motor controller with the id 0x100 would.
 */
#define _POSIX_C_SOURCE 200112L

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VED_SENDER_IMPLEMENTATION
#include "ved_sender.h"

#include "ved_key.h"

static uint64_t monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int send_datagram(void *user, const uint8_t *data, size_t size) {
    return send(*(int *)user, data, size, 0) == (ssize_t)size ? 0 : -1;
}

static int open_socket(const char *host, const char *port) {
    struct addrinfo hints = {0}, *found = NULL;
    int handle = -1;
    hints.ai_socktype = SOCK_DGRAM;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        return -1;
    }
    handle = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (handle >= 0 && connect(handle, found->ai_addr, found->ai_addrlen) != 0) {
        close(handle);
        handle = -1;
    }
    freeaddrinfo(found);
    return handle;
}

/* A new epoch at each start: here from the machine's own random numbers. */
static int make_epoch(uint8_t epoch[VED_EPOCH_BYTES]) {
    FILE *source = fopen("/dev/urandom", "rb");
    size_t got = source != NULL ? fread(epoch, 1, VED_EPOCH_BYTES, source) : 0;
    if (source != NULL) {
        fclose(source);
    }
    return got == VED_EPOCH_BYTES ? 0 : -1;
}

int main(int argc, char **argv) {
    static const uint8_t key[VED_KEY_BYTES] = VED_KEY;
    static uint8_t buffer[VED_SAFE_DATAGRAM];
    const struct timespec pause = {0, 10000000};
    ved_setup setup = {0};
    ved_sender sender;
    ved_frame frame = {0};
    uint64_t began_us = monotonic_us();
    long count, i;
    int handle;
    if (argc != 4) {
        fprintf(stderr, "usage: %s HOST PORT FRAMES\n", argv[0]);
        return 2;
    }
    handle = open_socket(argv[1], argv[2]);
    if (handle < 0 || make_epoch(setup.epoch) != 0) {
        fprintf(stderr, "no way to %s port %s\n", argv[1], argv[2]);
        return 1;
    }
    setup.kind = VED_FRAMES;
    setup.key_id = VED_KEY_ID;
    memcpy(setup.key, key, sizeof key);
    setup.buffer = buffer;
    setup.buffer_size = sizeof buffer;
    setup.send = send_datagram;
    setup.user = &handle;
    if (ved_sender_init(&sender, &setup) != VED_OK) {
        return 1;
    }
    count = strtol(argv[3], NULL, 10);
    frame.id = 0x100;
    frame.length = 8;
    for (i = 0; i < count; i++) {
        frame.data[0] = (uint8_t)i;
        frame.data[1] = (uint8_t)(i >> 8);
        ved_sender_frame(&sender, monotonic_us() - began_us, &frame);
        if (i % 10 == 9) {
            ved_sender_flush(&sender, monotonic_us() - began_us);
        }
        nanosleep(&pause, NULL);
    }
    ved_sender_flush(&sender, monotonic_us() - began_us);
    printf("%lu datagrams sent, %lu failed\n", (unsigned long)sender.datagrams_sent,
           (unsigned long)sender.datagrams_failed);
    close(handle);
    return sender.datagrams_failed == 0 ? 0 : 1;
}
