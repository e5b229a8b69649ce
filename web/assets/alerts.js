// The browser asks after a click in <khabar-alerts> and never before.
const API = new URL("/graphql", import.meta.url).href;
const WORDS = {
	ar: {
		ask: "هل ترغب في تلقي إشعارات؟",
		news: "ابق على اطلاع بآخر أخبارنا وأحداثنا.",
		breaking: "الأخبار العاجلة فقط",
		topics: "مواضيع معيّنة فقط",
		yes: "نعم، أرغب",
		stop: "إيقاف الإشعارات",
		on: "الإشعارات مفعّلة.",
		off: "الإشعارات متوقفة.",
		denied: "متصفحك يمنع إشعاراتنا. اسمح بها في إعداداته.",
		failed: "تعذّر ذلك. تحقق من اتصالك بالإنترنت وأعد المحاولة.",
	},
	ckb: {
		ask: "دەتەوێت ئاگادارکردنەوەت بۆ بێت؟",
		news: "ئاگاداری نوێترین هەواڵ و ڕووداوەکانمان بە.",
		breaking: "تەنها هەواڵی بەپەلە",
		topics: "تەنها هەندێک بابەت",
		yes: "بەڵێ، دەمەوێت",
		stop: "ڕاگرتنی ئاگادارییەکان",
		on: "ئاگادارییەکان چالاکن.",
		off: "ئاگادارییەکان وەستاون.",
		denied: "وێبگەڕەکەت ڕێیان لێ دەگرێت. لە ڕێکخستنەکانیدا ڕێیان پێ بدە.",
		failed: "نەکرا. ئینتەرنێتەکەت بپشکنە و هەوڵ بدەوە.",
	},
	en: {
		ask: "Would you like to receive notifications?",
		news: "Stay up to date with our latest news and events.",
		breaking: "Breaking news only",
		topics: "Certain topics only",
		yes: "Yes, please",
		stop: "Stop notifications",
		on: "Notifications are on.",
		off: "Notifications are off.",
		denied: "Your browser blocks our notifications. Allow them in its settings.",
		failed: "That did not work. Check your connection and try again.",
	},
};
const STYLE = new CSSStyleSheet();
STYLE.replaceSync(`
	h2 { margin: 0 }
	label, details { display: block; padding: .5em 0 }
	fieldset { border: 0; columns: 11em }
	button { background: 0; border-radius: 2em; color: inherit; font: inherit; padding: .5em 1.5em }
	[name=yes] { background: var(--khabar-accent, #9b1c31); border: 0; color: #fff }
`);

const element = document.querySelector("khabar-alerts");
const { serviceWorker } = navigator;

const prompt = ({ locale, worker = "/worker.js" }) => {
	const language = Object.keys(WORDS).find((key) => locale.startsWith(key)) ?? "en";
	const words = WORDS[language];
	const root = element.attachShadow({ mode: "open" });
	root.adoptedStyleSheets = [STYLE];
	root.innerHTML = `<section lang="${language}" dir="auto">
		<h2>${words.ask}</h2><p>${words.news}</p>
		<form><label><input type="checkbox" name="breaking"> ${words.breaking}</label>
		<details><summary>${words.topics}</summary><fieldset></fieldset></details>
		<button type="button" name="yes">${words.yes}</button>
		<button type="button" name="stop">${words.stop}</button></form>
		<p role="status"></p></section>`;
	const [form, topics, status] = ["form", "fieldset", "[role]"].map((part) => root.querySelector(part));
	let categories;

	const show = (now) => {
		form.yes.hidden = now.on;
		form.stop.hidden = !now.on;
		form.breaking.checked = now.breakingOnly;
		categories = now.categories ?? [];
	};
	const tell = async (khabar) => {
		await serviceWorker.register(worker);
		const { active } = await serviceWorker.ready;
		const { port1, port2 } = new MessageChannel();
		const choice = { breakingOnly: form.breaking.checked, categories };
		active.postMessage({ khabar, wanted: { api: API, news: words.news, locale, choice } }, [port2]);
		return new Promise((done, fail) => {
			port1.onmessage = ({ data }) => done(data);
			setTimeout(fail, 20_000);
		});
	};
	const act = async (work) => {
		status.textContent = "…";
		const now = await work.catch(() => ({ fault: "failed" }));
		if (!now.fault) show(now);
		status.textContent = words[now.fault ?? (now.on ? "on" : "off")];
	};
	const ask = async () =>
		(await Notification.requestPermission()) === "granted" ? tell("on") : { fault: "denied" };

	form.yes.onclick = () => act(ask());
	form.stop.onclick = () => act(tell("off"));
	form.onchange = () => {
		if (topics.firstChild) categories = [...topics.querySelectorAll(":checked")].map((box) => box.value);
		if (form.yes.hidden) act(tell("on"));
	};
	topics.parentNode.ontoggle = async () => {
		if (topics.firstChild) return;
		const query = `query AlertTopics($locale: String!) {
			categories(locale: $locale) { id name children { id name } }
		}`;
		const asked = new URLSearchParams({ query, variables: JSON.stringify({ locale }) });
		const { data } = await (await fetch(`${API}?${asked}`)).json();
		for (const { id, name } of data.categories.flatMap((topic) => [topic, ...topic.children])) {
			const label = topics.appendChild(document.createElement("label"));
			label.innerHTML = `<input type="checkbox" value="${id}"> `;
			label.firstChild.checked = categories.includes(id);
			label.append(name);
		}
	};

	show({ on: false });
	element.hidden = false;
	// At each visit: the browser may have moved.
	if (Notification.permission === "granted") act(tell("renew"));
};
if (element && serviceWorker && window.PushManager) prompt(element.dataset);
