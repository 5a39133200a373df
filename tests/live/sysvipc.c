// SPDX-License-Identifier: Apache-2.0
/* System V shared memory (attached, with content), semaphores with values, a queue with messages.
 */
#include "subject.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	struct {
		long type;
		char text[32];
	} m = { 5, "second type" };
	int shm, sem, msg;
	char *at;
	struct shmid_ds ds;

	subject_init(argc, argv);
	shm = shmget(0x616d62, 10000, IPC_CREAT | 0640);
	sem = semget(0x616d63, 3, IPC_CREAT | 0600);
	msg = msgget(0x616d64, IPC_CREAT | 0600);
	CHECK(shm >= 0 && sem >= 0 && msg >= 0);
	at = shmat(shm, NULL, 0);
	CHECK(at != (char *)-1);
	strcpy(at + 8192, "shared content");
	CHECK(semctl(sem, 1, SETVAL, 7) == 0);
	CHECK(msgsnd(msg, &m, 12, 0) == 0);
	m.type = 1;
	strcpy(m.text, "first type");
	CHECK(msgsnd(msg, &m, 11, 0) == 0);

	subject_ready();
	subject_wait();

	CHECK(strcmp(at + 8192, "shared content") == 0);
	CHECK(shmget(0x616d62, 0, 0) == shm && semget(0x616d63, 0, 0) == sem &&
	      msgget(0x616d64, 0) == msg);
	CHECK(shmctl(shm, IPC_STAT, &ds) == 0 && ds.shm_segsz == 10000 && ds.shm_nattch == 1);
	CHECK((ds.shm_perm.mode & 0777) == 0640);
	CHECK(semctl(sem, 1, GETVAL) == 7 && semctl(sem, 0, GETVAL) == 0);
	CHECK(msgrcv(msg, &m, 32, 1, IPC_NOWAIT) == 11 && strcmp(m.text, "first type") == 0);
	CHECK(msgrcv(msg, &m, 32, 0, IPC_NOWAIT) == 12 && m.type == 5 &&
	      strcmp(m.text, "second type") == 0);
	CHECK(shmdt(at) == 0 && shmctl(shm, IPC_RMID, NULL) == 0);
	CHECK(semctl(sem, 0, IPC_RMID) == 0 && msgctl(msg, IPC_RMID, NULL) == 0);
	subject_pass();
}
