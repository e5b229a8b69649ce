// No names stay behind: any site's worker may import it.
{
	const CREATE = `mutation PushSubscriptionCreate($input: PushSubscriptionCreateInput!) {
		pushSubscriptionCreate(input: $input) { token userErrors { code field message } }
	}`;
	const UPDATE = `mutation PushSubscriptionMove($token: String!, $input: PushSubscriptionUpdateInput!) {
		pushSubscriptionUpdate(token: $token, input: $input) { userErrors { code } }
	}`;
	const DELETE = `mutation PushSubscriptionDelete($token: String!) {
		pushSubscriptionDelete(token: $token) { deleted }
	}`;

	const result = (request) =>
		new Promise((done, fail) => {
			request.onsuccess = () => done(request.result);
			request.onerror = fail;
		});
	const stored = async (work) => {
		const opening = indexedDB.open("khabar-alerts");
		opening.onupgradeneeded = () => opening.result.createObjectStore("reader");
		const database = await result(opening);
		const done = result(work(database.transaction("reader", "readwrite").objectStore("reader")));
		database.close();
		return done;
	};
	const load = async () => (await stored((reader) => reader.get(0))) ?? {};

	const ask = async (api, query, variables) => {
		const headers = { "content-type": "application/json" };
		const body = JSON.stringify({ query, variables });
		const { data, errors } = await (await fetch(api, { method: "POST", headers, body })).json();
		if (errors) throw errors;
		return Object.values(data)[0];
	};

	const current = () => registration.pushManager.getSubscription();
	const subscribe = async (old, key, usual) => {
		if (old && key === usual) return old;
		await old?.unsubscribe();
		return Promise.race([
			registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }),
			// Without a network Chromium never answers.
			new Promise((_, fail) => setTimeout(fail, 15_000)),
		]);
	};

	const keep = async (kept, isNew) => {
		let { api, token, locale, choice } = kept;
		const key = await ask(api, `query WebPushKey { webPushKey }`);
		const refuses = async (input) => (await ask(api, UPDATE, { token, input })).userErrors.length;
		const old = await current();
		if (token && !isNew && old?.endpoint === kept.endpoint) {
			// The reader opted out by a notification.
			if (await refuses({})) return off();
			if (key === kept.key) return;
		}
		const { endpoint, keys } = (await subscribe(old, key, kept.key)).toJSON();
		const browser = { endpoint, keys, applicationServerKey: key };
		if (token && (await refuses({ browser, ...(isNew && { locale, ...choice }) }))) token = null;
		token ??= (await ask(api, CREATE, { input: { ...browser, locale, ...choice } })).token;
		if (!token) throw key;
		await stored((reader) => reader.put({ ...kept, token, key, endpoint }, 0));
	};

	const on = async (wanted) => keep({ ...(await load()), ...wanted }, true);
	const off = async () => {
		const { api, token } = await load();
		await stored((reader) => reader.delete(0));
		await (await current())?.unsubscribe();
		if (token) await ask(api, DELETE, { token }).catch(() => {});
	};
	const renew = async () => (await load()).token && keep(await load());

	// A renewal that overtook an opt-out would undo it.
	let last = Promise.resolve();
	const inTurn = (work) => (last = last.then(work).then(() => {}, () => "failed"));

	addEventListener("message", (event) => {
		const { khabar, wanted } = event.data ?? {};
		const work = { on, off, renew }[khabar];
		const reply = async () => {
			const fault = await inTurn(() => work(wanted));
			const { token, choice } = await load();
			event.ports[0].postMessage({ fault, on: !!token, ...choice });
		};
		if (work) event.waitUntil(reply());
	});
	addEventListener("pushsubscriptionchange", (event) => event.waitUntil(inTurn(renew)));

	const show = async (message) => {
		try {
			const { title, body, lang, dir, tag, image, actions, navigate } = message.json().notification;
			if (!title) throw message;
			const data = { khabar: { navigate, actions } };
			await registration.showNotification(title, { body, lang, dir, tag, image, actions, data });
		} catch {
			// Whoever shows nothing loses the permission.
			const { news = location.host, locale: lang = "" } = await load().catch(() => ({}));
			const data = { khabar: { navigate: registration.scope } };
			await registration.showNotification(news, { lang, tag: "khabar", data });
		}
	};
	addEventListener("push", (event) => event.waitUntil(show(event.data)));

	addEventListener("notificationclick", (event) => {
		const { khabar } = event.notification.data ?? {};
		if (!khabar) return;
		event.notification.close();
		const button = khabar.actions?.find(({ action }) => action === event.action);
		event.waitUntil(clients.openWindow((button ?? khabar).navigate));
	});
}
