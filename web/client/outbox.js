// outbox.js - chats that aren't answered yet, over a reload of the page and longer
//
// An outbox has put (key, entry), remove (key) and all (), which resolves to the entries in the order they were put; an entry is
// {message, attachment, file}: bytes, or a Blob that isn't sent yet.

// In this browser's IndexedDB, for one user; attachments with it.
export class IndexedOutbox {
  constructor(uid) {
    this.name = `rookery-outbox-${uid}`;
  }

  database() {
    this.opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("chat", {keyPath: "number", autoIncrement: true})
        .createIndex("key", "key", {unique: true});
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return this.opened;
  }

  async run(mode, use) {
    const transaction = (await this.database()).transaction("chat", mode);
    const result = use(transaction.objectStore("chat"));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(result?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  put(key, entry) {
    return this.run("readwrite", store => store.add({key, ...entry}));
  }

  remove(key) {
    return this.run("readwrite", store => {
      const request = store.index("key").getKey(key);
      request.onsuccess = () => request.result !== undefined && store.delete(request.result);
    });
  }

  all() {
    return this.run("readonly", store => store.getAll());
  }
}
