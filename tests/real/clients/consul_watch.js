// Prints what npm's `consul` sees of a service at each change, one line each. Arguments: its folder, port, service.
const [folder, port, service] = process.argv.slice(2);
const Consul = require(folder + "/node_modules/consul");
const consul = new Consul({ host: "127.0.0.1", port: Number(port) });
const watch = consul.watch({
  method: consul.health.service,
  options: { service: service, passing: true, wait: "5s" },
  backoffFactor: 100,
});
watch.on("change", (found) => console.log(JSON.stringify(found.map((each) => each.Service.ID))));
watch.on("error", (error) => console.log(JSON.stringify({ error: String(error) })));
