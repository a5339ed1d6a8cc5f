/* A plugin's life: opened, used by a thread, closed while that thread still lives; then the thread
 * ends and runs the thread-local destructors of the library. Loaded and closed several times. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static pthread_barrier_t used, closed;

static void *worker(void *library) {
  const char *(*version)(void);
  int (*init)(void);
  *(void **) &version = dlsym(library, "mgos_mqtt_version");
  /* Leaves thread-local state behind, if anything does. */
  *(void **) &init = dlsym(library, "mgos_mqtt_init");
  if (version != NULL) puts(version());
  if (init != NULL) init();
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&closed);
  return version != NULL ? library : NULL;
}

int main(int argc, char **argv) {
  int round;
  if (argc != 2) return 2;
  for (round = 0; round < 3; round++) {
    pthread_t thread;
    void *ok = NULL;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
      return 1;
    }
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    if (pthread_create(&thread, NULL, worker, library) != 0) return 1;
    pthread_barrier_wait(&used);
    dlclose(library);
    pthread_barrier_wait(&closed);
    pthread_join(thread, &ok);
    if (ok == NULL) return 1;
  }
  return 0;
}
