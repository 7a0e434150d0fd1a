// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rings the doorbell of an endpoint's test function from user space, through the BARs' files in sysfs.
 *
 * What the host does for the DOORBELL test: enable, find the place, store the word there, disable; every access is of
 * 32 bits. The kernel's driver has to be bound to the function and must hold interrupts of the kind named: it hears
 * them, and /proc/interrupts says how many there were.
 *
 *   ring DEVICE IRQ_TYPE RINGS      DEVICE as /sys/bus/pci/devices/0000:00:04.0, IRQ_TYPE 1 for MSI and 2 for MSI-X
 *
 * Prints TAP. Exit status: 0; REFUSED if the endpoint has no doorbell and said so, by STATUS and one interrupt; else the
 * errno that the kernel's own test would return.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND = 0x04, STATUS = 0x08, IRQ_TYPE = 0x24, IRQ_NUMBER = 0x28, CAPS = 0x30, DB_BAR = 0x34, DB_OFFSET = 0x38,
       DB_DATA = 0x3c };
enum { ENABLE_DOORBELL = 1 << 6, DISABLE_DOORBELL = 1 << 7 };
/* IRQ_RAISED is not looked at: the driver of Linux 6.1 clears it when it has seen it. */
enum { DOORBELL_SUCCESS = 1 << 9, ENABLE_SUCCESS = 1 << 10, ENABLE_FAIL = 1 << 11, DISABLE_SUCCESS = 1 << 12 };
enum { DYNAMIC_INBOUND = 1 << 5, BAR0_RESERVED = 1 << 6 };
enum { BARS = 6 };
enum { REFUSED = 200 };

#define DRIVER "pci-endpoint-test"
#define ANSWER_MS 1000
#define SILENCE_MS 50

static volatile uint8_t *bars[BARS];
static size_t sizes[BARS];
static unsigned long heard;
static int points, failed;

static uint32_t get(uint32_t offset)
{
	return *(volatile uint32_t *)(bars[0] + offset);
}

static void put(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(bars[0] + offset) = value;
}

static int check(int good, const char *format, ...)
{
	va_list arguments;

	printf("%s %d - ", good ? "ok" : "not ok", ++points);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	failed += !good;
	return good;
}

/* How many interrupts the driver has had. */
static unsigned long interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned long total = 0, count;
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, DRIVER) && sscanf(line, " %*[^:]: %lu", &count) == 1)
			total += count;
	if (file)
		fclose(file);
	return total;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static long elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* Wait for an interrupt; return how many came. */
static unsigned long wait_for_interrupt(int answer_ms)
{
	struct timespec start;
	unsigned long before = heard;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((heard = interrupts()) == before && elapsed_ms(&start) < answer_ms)
		nap();
	return heard - before;
}

static int map_bar(const char *device, int bar)
{
	char path[256];
	struct stat file;
	int descriptor;
	void *mapped;

	snprintf(path, sizeof(path), "%s/resource%d", device, bar);
	descriptor = open(path, O_RDWR | O_SYNC);
	if (descriptor < 0 || fstat(descriptor, &file))
		return -errno;
	mapped = mmap(NULL, file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	close(descriptor);
	bars[bar] = mapped;
	sizes[bar] = file.st_size;
	return 0;
}

static unsigned long command(uint32_t irq_type, uint32_t word)
{
	put(IRQ_TYPE, irq_type);
	put(IRQ_NUMBER, 1);
	put(COMMAND, word);
	return wait_for_interrupt(ANSWER_MS);
}

/* Ring once; return STATUS. */
static uint32_t ring(uint32_t irq_type, volatile uint32_t *doorbell, uint32_t word, unsigned long *count)
{
	put(IRQ_TYPE, irq_type);
	put(IRQ_NUMBER, 1);
	put(STATUS, 0);
	*doorbell = word;
	*count = wait_for_interrupt(ANSWER_MS);
	return get(STATUS);
}

static int doorbell_test(uint32_t irq_type, int rings)
{
	uint32_t status, bar, offset, word;
	volatile uint32_t *doorbell;
	unsigned long count;
	int rung = 0;

	if (!(get(CAPS) & DYNAMIC_INBOUND)) {
		printf("# no BAR can be re-targeted while in use\n");
		return EOPNOTSUPP;
	}
	count = command(irq_type, ENABLE_DOORBELL);
	status = get(STATUS);
	if (count == 1 && status == ENABLE_FAIL) {
		printf("# ENABLE_DOORBELL refused: STATUS %#x, %lu interrupts\n", status, count);
		return REFUSED;
	}
	if (!check(count == 1 && status & ENABLE_SUCCESS, "ENABLE_DOORBELL: STATUS %#x, %lu interrupts", status, count))
		return EINVAL;
	word = get(DB_DATA);
	offset = get(DB_OFFSET);
	bar = get(DB_BAR);
	if (!check(bar < BARS && bars[bar] && offset + 4 <= sizes[bar] && offset % 4 == 0,
		   "doorbell in BAR%u at %#x, word %#x", bar, offset, word))
		return ERANGE;
	doorbell = (volatile uint32_t *)(bars[bar] + offset);
	while (rung < rings) {
		status = ring(irq_type, doorbell, word, &count);
		if (count != 1 || !(status & DOORBELL_SUCCESS))
			break;
		rung++;
	}
	check(rung == rings, "%d of %d rings: STATUS %#x, %lu interrupts", rung, rings, status, count);
	count = command(irq_type, DISABLE_DOORBELL);
	status = get(STATUS);
	check(count == 1 && status & DISABLE_SUCCESS, "DISABLE_DOORBELL: STATUS %#x, %lu interrupts", status, count);
	if (get(CAPS) & BAR0_RESERVED << bar) {
		/* Linux keeps what nobody hears, and hands it to the next who asks for the interrupt. */
		printf("# BAR%u shows the doorbell always\n", bar);
		return failed ? EINVAL : 0;
	}
	*doorbell = word;
	count = wait_for_interrupt(SILENCE_MS);
	check(count == 0, "a store to the same place afterwards: %lu interrupts", count);
	return failed ? EINVAL : 0;
}

int main(int argc, char **argv)
{
	int error, bar, result;

	if (argc != 4) {
		fprintf(stderr, "usage: ring DEVICE IRQ_TYPE RINGS\n");
		return EINVAL;
	}
	for (bar = 0; bar < BARS; bar++) {
		error = map_bar(argv[1], bar);
		if (error && (bar == 0 || error != -ENOENT)) {
			fprintf(stderr, "%s/resource%d cannot be mapped: %s\n", argv[1], bar, strerror(-error));
			return -error;
		}
	}
	heard = interrupts();
	result = doorbell_test(strtoul(argv[2], NULL, 0), atoi(argv[3]));
	printf("1..%d\n", points);
	return result;
}
