#include "drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

const char *const WAY_NAMES[] = {"own thread", "polling", "foreign, level", "foreign, edge"};

static void *run_poll(void *ud) {
  struct driver *driver = ud;
  while (driver->result == 0 && !__atomic_load_n(&driver->stop, __ATOMIC_SEQ_CST)) {
    driver->result = mgos_mqtt_loop_poll(driver->loop, 10);
  }
  return NULL;
}

/* As the header says: the descriptor, the time-out, process. Nothing else ever wakes it but drive_stop(). */
static void *run_foreign(void *ud) {
  struct driver *driver = ud;
  while (driver->result == 0 && !__atomic_load_n(&driver->stop, __ATOMIC_SEQ_CST)) {
    struct epoll_event event;
    int n = epoll_wait(driver->epoll, &event, 1, mgos_mqtt_loop_timeout(driver->loop));
    __atomic_add_fetch(&driver->rounds, 1, __ATOMIC_SEQ_CST);
    if (n == 0) __atomic_add_fetch(&driver->timeouts, 1, __ATOMIC_SEQ_CST);
    driver->result = mgos_mqtt_loop_process(driver->loop);
  }
  return NULL;
}

void drive_start(struct driver *driver, struct mgos_mqtt_loop *loop, enum way way) {
  struct epoll_event event;
  memset(driver, 0, sizeof(*driver));
  driver->loop = loop;
  driver->way = way;
  switch (way) {
    case OWN_THREAD:
      assert_int_equal(mgos_mqtt_loop_start(loop), 0);
      break;
    case POLLING:
      assert_int_equal(pthread_create(&driver->thread, NULL, run_poll, driver), 0);
      break;
    default:
      driver->epoll = epoll_create1(EPOLL_CLOEXEC);
      driver->stop_fd = eventfd(0, EFD_CLOEXEC);
      memset(&event, 0, sizeof(event));
      event.events = EPOLLIN;
      assert_int_equal(epoll_ctl(driver->epoll, EPOLL_CTL_ADD, driver->stop_fd, &event), 0);
      event.events = way == FOREIGN_EDGE ? EPOLLIN | EPOLLET : EPOLLIN;
      assert_int_equal(epoll_ctl(driver->epoll, EPOLL_CTL_ADD, mgos_mqtt_loop_fd(loop), &event), 0);
      assert_int_equal(pthread_create(&driver->thread, NULL, run_foreign, driver), 0);
  }
}

void drive_stop(struct driver *driver) {
  uint64_t one = 1;
  if (driver->way == OWN_THREAD) {
    assert_int_equal(mgos_mqtt_loop_stop(driver->loop), 0);
    return;
  }
  __atomic_store_n(&driver->stop, true, __ATOMIC_SEQ_CST);
  if (driver->way != POLLING) assert_int_equal(write(driver->stop_fd, &one, sizeof(one)), sizeof(one));
  pthread_join(driver->thread, NULL);
  assert_int_equal(driver->result, 0);
  if (driver->way != POLLING) {
    close(driver->epoll);
    close(driver->stop_fd);
  }
}

long drive_rounds(struct driver *driver) {
  return __atomic_load_n(&driver->rounds, __ATOMIC_SEQ_CST);
}
