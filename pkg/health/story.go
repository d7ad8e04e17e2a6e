package health

import "slices"

// Story is everything about a code that a finding has no room for.
type Story struct {
	Code       Code       `json:"code"`
	Severities []Severity `json:"severities"` // that findings of this code may have
	Title      string     `json:"title"`
	Meaning    string     `json:"meaning"`
	Origin     string     `json:"origin"` // how it comes about
	Risk       string     `json:"risk"`   // what may happen
	Remedy     string     `json:"remedy"`
	Commands   []string   `json:"commands"` // that look further or repair it
}

// Explain finds the story of a code.
func Explain(code Code) (Story, bool) {
	stories := Stories()
	i := slices.IndexFunc(stories, func(s Story) bool { return s.Code == code })
	if i < 0 {
		return Story{}, false
	}
	return stories[i], true
}

// Stories are the stories of all codes: of nodes, slots, keys and epochs, of the
// quorum, of replicas, and of what should be the same everywhere.
func Stories() []Story {
	return slices.Concat(nodeStories(), slotStories(), quorumStories(), replicaStories(), driftStories())
}

func only(s Severity) []Severity { return []Severity{s} }
func either() []Severity         { return []Severity{Error, Warning} }

func nodeStories() []Story {
	return []Story{
		{
			Code: Unreachable, Severities: either(),
			Title:   "A node does not answer",
			Meaning: "Another node knows this one, and nothing could be read of it within two seconds. The evidence tells a dead server (nothing takes the connection) from a paused one (it takes connections and says nothing), and from one that refuses the password. It is an error where the node is a master with slots, and a warning where everybody who knows it agrees that it has none.",
			Origin:  "The process has ended, hangs, or is stopped; its host is down or swaps; a firewall lies between it and this host; its address has changed; its password differs from the others'.",
			Risk:    "The slots of a silent master cannot be written or read until it is back or a replica is promoted; unless cluster-require-full-coverage is no, the whole cluster stops meanwhile. A silent replica is one failure less that the cluster survives.",
			Remedy:  "Start the server again, or let this host reach it. Where a master is gone for good and its replica has not been promoted within a few node timeouts, let fix promote it; without a replica, its slots can go to others, without its keys. Where a node is gone for good, remove it from all others.",
			Commands: []string{
				"redis-cli -h HOST -p PORT PING",
				"trib fix SEED --dry-run",
				"trib fix SEED --fix-with-unreachable-masters",
				"trib forget SEED NODE",
			},
		},
		{
			Code: Suspected, Severities: either(),
			Title:    "A node answers, and other nodes miss it on the cluster bus",
			Meaning:  "This host can talk to the node, while others suspect it (fail?), call it failed (fail), or have no link to its bus port. It is an error where a master with slots is called failed.",
			Origin:   "The bus port (the client port + 10000 unless set otherwise) is closed in one direction; the announced bus port is wrong; the node was stopped for longer than the node timeout and has just come back.",
			Risk:     "A replica is promoted in place of a master that works. What the old master takes in until it hears of that is lost.",
			Remedy:   "Open the bus port in both directions between all nodes, correct cluster-announce-bus-port. After a restart it passes within two node timeouts.",
			Commands: []string{"redis-cli -h HOST -p PORT CLUSTER LINKS", "redis-cli -h HOST -p PORT CONFIG GET 'cluster-announce-*'"},
		},
		{
			Code: Handshake, Severities: only(Warning),
			Title:    "A node is being met and has not answered",
			Meaning:  "Some node was sent CLUSTER MEET, or heard of a newcomer by gossip, and waits for the first answer. Its id is made up until then, so it is no member of the cluster.",
			Origin:   "Somebody adds a node at this moment; or the address is wrong, nothing listens on the bus port there, or a node that was reset keeps being mentioned.",
			Risk:     "None for the data. A node that should join does not, and the entry comes and goes for as long as somebody repeats it.",
			Remedy:   "Wait a node timeout and check again. If it is still there, see whether the bus port of that address can be reached, and who sends CLUSTER MEET.",
			Commands: []string{"trib check SEED", "trib fix SEED --only handshake", "redis-cli -h HOST -p PORT CLUSTER NODES"},
		},
		{
			Code: Split, Severities: only(Error),
			Title:    "The cluster is split into groups that do not see each other",
			Meaning:  "All of these nodes answer here, and no node of one group sees one of another in good order.",
			Origin:   "The network between the groups is cut on the bus ports while this host reaches both; or nodes were forgotten on both sides.",
			Risk:     "The side with a majority of masters promotes replicas for the others' slots. What clients write to the old masters of the minority, until these stop at their node timeout, is lost when the sides meet again.",
			Remedy:   "Change nothing in the cluster. Mend the network; the nodes find together by themselves. Only where they have forgotten each other, introduce them again with CLUSTER MEET.",
			Commands: []string{"redis-cli -h HOST -p PORT CLUSTER NODES", "redis-cli -h HOST -p PORT CLUSTER MEET OTHER-HOST OTHER-PORT"},
		},
		{
			Code: HalfForgotten, Severities: either(),
			Title:    "Some nodes know a node, and others do not",
			Meaning:  "The node stands in the lists of some members and is missing in others. It is a warning where it is silent and owns nothing.",
			Origin:   "CLUSTER FORGET was not sent to every node, or not within the minute for which it holds; the removed node was still running; a new node was met by one node and gossip has not got round yet.",
			Risk:     "A node that was to be removed comes back, with an old idea of the slots. Who does not know the owner of a slot sends clients to the wrong node, and cannot take part in moving slots.",
			Remedy:   "Decide whether the node belongs to the cluster. If not, remove it. If it does, fix introduces it to all; a dead one without slots is forgotten by all.",
			Commands: []string{"trib fix SEED --only half-forgotten", "trib del-node SEED NODE"},
		},
		{
			Code: AddressesDiffer, Severities: only(Warning),
			Title:    "Nodes know a node under different addresses",
			Meaning:  "What a node says of its own address differs from where others look for it.",
			Origin:   "The node has several interfaces or stands behind NAT and announces no address; it was met as 127.0.0.1 by a node on the same host; its address has changed and not everybody has heard of it.",
			Risk:     "A node sends clients to an address that only some of them can reach, or where another server answers. MIGRATE and replication may take that address, too.",
			Remedy:   "Announce one address that all nodes and all clients reach. Running nodes take it up at once.",
			Commands: []string{"redis-cli -h HOST -p PORT CONFIG SET cluster-announce-ip ADDRESS", "redis-cli -h HOST -p PORT CONFIG REWRITE"},
		},
		{
			Code: ClusterDown, Severities: only(Error),
			Title:    "Nodes say that the cluster is down",
			Meaning:  "These nodes have cluster_state:fail and answer commands on keys with CLUSTERDOWN.",
			Origin:   "A slot has no owner that works, and cluster-require-full-coverage is yes; a majority of masters cannot be reached from the node; or the node has just been started or has joined.",
			Risk:     "Clients of these nodes are refused.",
			Remedy:   "Mend what else is found: uncovered slots, silent masters, a lost quorum. A node that has just joined needs up to its node timeout.",
			Commands: []string{"redis-cli -h HOST -p PORT CLUSTER INFO"},
		},
	}
}

func slotStories() []Story {
	return []Story{
		{
			Code: Disagreement, Severities: only(Error),
			Title:    "Nodes see different owners of slots",
			Meaning:  "The view of some nodes gives a slot to another node than the one that claims it.",
			Origin:   "Slots have moved, or a replica was promoted, a moment ago and the news is on its way; a node is cut off from the bus; CLUSTER SETSLOT or DELSLOTS was sent to some nodes only.",
			Risk:     "Clients are sent in circles (MOVED). If slots are moved now, nodes may settle on the wrong owner, which deletes the keys of the other.",
			Remedy:   "Wait some seconds and check again. If it lasts, mend the bus links of the nodes that differ. A move that was interrupted is finished by resume, a claim that others do not believe because its epoch is too low by fix.",
			Commands: []string{"trib check SEED", "trib resume SEED", "trib fix SEED --only disagreement"},
		},
		{
			Code: OpenSlots, Severities: only(Error),
			Title:    "Slots are being moved, or a move was interrupted",
			Meaning:  "A master has slots in migrating or importing state.",
			Origin:   "Somebody moves slots at this moment; or the tool that did so was stopped or has crashed.",
			Risk:     "The slots work, with a redirection for keys that have moved already. Reads of several keys in one command fail with TRYAGAIN. A failover in this state can lose sight of the keys on one side.",
			Remedy:   "Make sure that nobody is at work, and finish the moves. A key that has a value on either side is named; one flag decides about it, another about all.",
			Commands: []string{"trib resume SEED --dry-run", "trib resume SEED", "trib fix SEED --conflict-for KEY=source --conflict newer-ttl"},
		},
		{
			Code: Uncovered, Severities: only(Error),
			Title:    "Slots have no owner that answers",
			Meaning:  "No master that answers says that it owns these slots. The evidence names the silent nodes that others take for the owners.",
			Origin:   "The owner is down and has no replica to take over; CLUSTER DELSLOTS; a cluster that was formed in part.",
			Risk:     "Keys in these slots can be neither read nor written; with cluster-require-full-coverage yes no key can.",
			Remedy:   "If the evidence names an owner, bring it back: it has the keys. Fix promotes its replica, and gives slots that nobody owns to the node with their keys, or to all in even shares where nobody has any.",
			Commands: []string{"trib fix SEED --dry-run", "trib fix SEED"},
		},
		{
			Code: MultipleOwners, Severities: only(Error),
			Title:    "Several masters claim the same slot",
			Meaning:  "More than one master says of itself that it owns these slots.",
			Origin:   "A failover or a move has just happened and the old owner has not heard of it; a split; CLUSTER ADDSLOTS on a second node.",
			Risk:     "Clients write to both. When the nodes settle it, the one with the older config epoch deletes its keys of the slot.",
			Remedy:   "Wait some seconds. If it lasts, let fix choose the one that most masters believe: the others keep their keys until they are there, and keys that differ are named.",
			Commands: []string{"trib fix SEED --dry-run", "trib fix SEED", "trib fix SEED --conflict-for KEY=source"},
		},
		{
			Code: ForeignKeys, Severities: only(Error),
			Title:    "A master holds keys of slots that it does not own",
			Meaning:  "Keys were counted, in all databases, in slots that belong to another node and are not being imported.",
			Origin:   "A move was broken off and its open state cleared by hand; a slot was given away while it still held keys; a backup was loaded into the wrong node.",
			Risk:     "Clients cannot reach these keys. They are deleted as soon as the node hears of a newer owner of the slot, and old values come back if the slot returns.",
			Remedy:   "See how many of them their owner lacks: these were never there, or have been deleted there since. Bring them over, or delete those that the owner has as well.",
			Commands: []string{"trib fix SEED", "trib fix SEED --foreign-keys adopt", "trib fix SEED --foreign-keys drop"},
		},
		{
			Code: EpochCollision, Severities: either(),
			Title:    "Masters have the same config epoch",
			Meaning:  "Each master should have an epoch of its own: of two claims on a slot, that with the higher epoch wins. It is an error between masters that own slots.",
			Origin:   "Two replicas were promoted at the same time with TAKEOVER; slots were moved while a replica was promoted; nodes were joined that never got an epoch.",
			Risk:     "If both claim a slot, different nodes believe different owners, and which one wins in the end hangs on the order of their ids.",
			Remedy:   "Nodes resolve it when they hear of each other. If it lasts, mend their bus link, or let fix raise the epochs; move no slots before.",
			Commands: []string{"redis-cli -h HOST -p PORT CLUSTER INFO", "trib fix SEED --only epoch-collision"},
		},
	}
}

func quorumStories() []Story {
	return []Story{
		{
			Code: QuorumLost, Severities: only(Error),
			Title:    "Too few masters answer to decide anything",
			Meaning:  "Less than a majority of the masters with slots answers here. Failures are declared and replicas promoted by the vote of a majority.",
			Origin:   "Several masters failed at the same time, or their host or zone did.",
			Risk:     "Nobody is promoted any more, and masters in the minority stop serving after the node timeout. The cluster does not come back by itself.",
			Remedy:   "Bring masters back until a majority answers. Where they are gone for good, promote a replica of each without a vote.",
			Commands: []string{"trib fix SEED --takeover --dry-run", "trib fix SEED --takeover"},
		},
		{
			Code: QuorumAtRisk, Severities: only(Warning),
			Title:    "One failure more can stop the cluster",
			Meaning:  "If one more master, or one host or zone that holds many of them, fails, those left are no majority and cannot promote replicas.",
			Origin:   "There are only one or two masters; masters are down already; too many masters stand on one host or in one zone.",
			Risk:     "A failure that replicas could make good stops the cluster.",
			Remedy:   "Have three masters or more; spread them over three hosts and three zones or more, so that none has half of them; bring silent ones back.",
			Commands: []string{"trib info SEED", "trib failover SEED REPLICA"},
		},
	}
}

func replicaStories() []Story {
	return []Story{
		{
			Code: NoReplica, Severities: only(Warning),
			Title:    "A master has no replica",
			Meaning:  "A master owns slots, and no node, silent ones included, replicates it.",
			Origin:   "The cluster was formed without replicas; a replica was promoted and the old master has not come back; replicas were removed, or have migrated to another master.",
			Risk:     "If this master fails, its slots are gone until it is back, and its data with its disk.",
			Remedy:   "Add a replica on another host, or let fix use a spare one.",
			Commands: []string{"trib fix SEED --spread-replicas", "trib add-node NEW SEED --replica --master-id MASTER", "trib replicate SEED REPLICA MASTER"},
		},
		{
			Code: LinkDown, Severities: only(Warning),
			Title:    "A replica gets nothing from its master",
			Meaning:  "The replica says master_link_status:down, while its master answers.",
			Origin:   "It copies all data for the first time, or again after a long break; its masterauth or masteruser is wrong; it cannot reach the master's client port; the master drops it because its output buffer overflows.",
			Risk:     "Its data grow old. If it is promoted after all, the writes since are lost; if it is too old to be promoted, nobody is.",
			Remedy:   "If it is copying, wait. Otherwise read its log, and correct password, network or client-output-buffer-limit.",
			Commands: []string{"redis-cli -h REPLICA -p PORT INFO replication", "redis-cli -h REPLICA -p PORT CONFIG SET masterauth PASSWORD"},
		},
		{
			Code: Lag, Severities: only(Warning),
			Title:    "A replica is far behind its master",
			Meaning:  "By the master's account the replica has acknowledged more than 10 MiB less than was written, or nothing for 10 seconds. Healthy ones acknowledge every second.",
			Origin:   "The network is too narrow for what is written; the replica's host is overloaded; a slow command keeps the replica busy.",
			Risk:     "A failover loses the writes that it does not have. Once it is further behind than the backlog, every break of the link costs a full copy.",
			Remedy:   "Relieve the replica or the network; slow the writer, or what moves slots; raise repl-backlog-size.",
			Commands: []string{"redis-cli -h MASTER -p PORT INFO replication", "redis-cli -h REPLICA -p PORT SLOWLOG GET 10"},
		},
		{
			Code: ReplicaOfReplica, Severities: only(Error),
			Title:    "A replica replicates another replica",
			Meaning:  "The node that it follows is itself a replica. A cluster knows one level only.",
			Origin:   "A master with replicas was made a replica of another one; a failover in which a replica has not yet followed the new master, which passes within seconds.",
			Risk:     "It counts for no master: it is not promoted when the real master fails, and it lags behind twice.",
			Remedy:   "Let it replicate the master at the end of the chain.",
			Commands: []string{"trib fix SEED --only replica-of-replica", "trib replicate SEED REPLICA MASTER"},
		},
		{
			Code: Orphaned, Severities: only(Warning),
			Title:    "A replica has lost its master for good",
			Meaning:  "The node that it follows is not known to anybody else, or does not answer and owns no slots any more.",
			Origin:   "Its master was removed while it was out of reach, or another node was given the slots of its dead master.",
			Risk:     "It replicates nothing and replaces nobody: the cluster has a replica less than it seems. What it holds may be the only copy of keys that were lost with its master.",
			Remedy:   "Look whether it has keys that the cluster lacks. Then let it follow another master, which replaces what it has.",
			Commands: []string{"trib fix SEED --orphans reuse --dry-run", "trib replicate SEED REPLICA MASTER"},
		},
		{
			Code: SameHost, Severities: only(Warning),
			Title:    "A replica runs on the host of its master",
			Meaning:  "The two have the same host in their addresses. On a laptop or in a lab, where everything runs on one host, this is as expected.",
			Origin:   "The cluster was formed on too few hosts, or failovers have brought master and replica together.",
			Risk:     "The loss of that host takes master and replica: the slots are down, the data perhaps gone.",
			Remedy:   "Exchange replicas between masters so that each pair is apart, or add hosts.",
			Commands: []string{"trib replicate SEED REPLICA OTHER-MASTER"},
		},
		{
			Code: SameZone, Severities: only(Warning),
			Title:    "A replica runs in the zone of its master",
			Meaning:  "The two are on different hosts of one zone. Zones are those that Valkey nodes announce (availability-zone), or those given with --zone HOST=NAME.",
			Origin:   "The cluster was formed without regard to zones, or failovers have brought master and replica together.",
			Risk:     "The loss of that zone takes master and replica.",
			Remedy:   "Exchange replicas between masters so that each pair is apart, or add nodes in another zone.",
			Commands: []string{"trib check SEED --zone HOST=NAME --zone HOST=NAME", "trib replicate SEED REPLICA OTHER-MASTER"},
		},
	}
}

func driftStories() []Story {
	return []Story{
		{
			Code: VersionsDiffer, Severities: only(Warning),
			Title:    "Nodes run different servers",
			Meaning:  "Not all nodes that answer have the same server and version.",
			Origin:   "An upgrade is under way, or was not finished.",
			Risk:     "Keys serialised by a newer server cannot be read by an older one: slots do not move that way, and an old replica cannot copy a new master. Commands exist on some nodes only.",
			Remedy:   "Finish the upgrade: replicas first, then fail over to them, then the old masters.",
			Commands: []string{"trib info SEED", "trib failover SEED REPLICA"},
		},
		{
			Code: ConfigDiffers, Severities: only(Warning),
			Title:    "A setting that nodes should share differs",
			Meaning:  "Compared are appendonly, maxmemory and its policy, min-replicas-to-write and -max-lag, and of cluster-*: allow-reads-when-down, allow-replica-migration, databases, migration-barrier, node-timeout, replica-validity-factor and require-full-coverage, as far as the nodes tell them.",
			Origin:   "CONFIG SET on some nodes only, or without CONFIG REWRITE and then a restart; a node that was added with another configuration.",
			Risk:     "After a failover or a move the same data have another memory limit, eviction policy or durability; nodes call each other failed at different times.",
			Remedy:   "Set one value everywhere, and write it to the configuration.",
			Commands: []string{"trib call SEED CONFIG SET NAME VALUE", "trib call SEED CONFIG REWRITE"},
		},
		{
			Code: FunctionsDiffer, Severities: either(),
			Title:    "Masters have different functions",
			Meaning:  "The libraries that masters have loaded differ in name or code. It is an error between masters that own slots.",
			Origin:   "FUNCTION LOAD went to some masters only; a master was added without them.",
			Risk:     "FCALL fails, or does something else, depending on the slot of its key.",
			Remedy:   "Take the libraries of a master that is right to all others.",
			Commands: []string{"redis-cli -h MASTER -p PORT FUNCTION LIST", "redis-cli -h MASTER -p PORT FUNCTION LOAD REPLACE CODE"},
		},
	}
}
